"""What people read of the estate's servers."""

from __future__ import annotations

from qekm_cli.render import Plain, cell


def here(row: Plain) -> str:
    """Return a server's name, and whether it is the one that answers."""
    return f"{row['name']} (this one)" if row["self"] else str(row["name"])


def state(row: Plain) -> str:
    """Return how far a server is."""
    return "apart" if row["apart"] else "waiting" if row["waiting"] else str(row["state"])


def role(row: Plain) -> str:
    """Return what a server is to the others, and how far one is that is none yet."""
    return str(row["role"]) if row["state"] == "joined" else state(row)


def is_troubled(row: Plain) -> bool:
    """Tell whether another server is away, or its rows differ."""
    return row["state"] == "joined" and not row["self"] and (not row["connected"] or bool(row["differences"]))


def brief(row: Plain) -> str:
    """Return one line: what a server is, whether it is there, and what it has yet to get."""
    told = f"{cell(here(row))}, {role(row)}"
    if row["state"] != "joined" or row["self"]:
        return told
    lag = f"has yet to get {row['lag_records']:,} records ({row['lag_seconds']:.1f} s)"
    return ", ".join([told, _link(row), lag, *(["DIFFERS"] if row["differences"] else [])])


def full(row: Plain) -> list[str]:
    """Return all that is known of a server and of the link to it."""
    head = f"{cell(here(row))}  {role(row)}  {cell(row['address'])}"
    if row["state"] != "joined" or row["self"]:
        return [head]
    lines = [
        f"{head}  {_link(row)}",
        f"  has yet to get  {row['lag_records']:,} records, {row['lag_seconds']:.1f} s",
        f"  not here yet    {row['behind_records']:,} records",
        f"  last compared   {cell(row['compare_time'])}",
        f"  keys ready      {row['ready_keys']:,}",
        f"  version         {cell(row['version'])}",
    ]
    if row["last_error"]:
        lines.append(f"  last error      {cell(row['last_error'])}, {cell(row['error_time'])}")
    if row["refused"]:
        lines.append(f"  links refused   {row['refused']:,}")
    return lines + [f"  DIFFERS         {cell(each)}" for each in row["differences"]]


def compared(row: Plain) -> list[str]:
    """Return what a comparison with a server has found."""
    if not row["differences"]:
        return [f"{cell(row['name'])}: the same, as of {cell(row['compare_time'])}"]
    return [f"{cell(row['name'])}: DIFFERS", *(f"  {cell(each)}" for each in row["differences"])]


def grouped(digits: str) -> str:
    """Return a fingerprint in groups of four digits, to be read aloud."""
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _link(row: Plain) -> str:
    return "connected" if row["connected"] else f"AWAY, last heard of {cell(row['heard_time'])}"
