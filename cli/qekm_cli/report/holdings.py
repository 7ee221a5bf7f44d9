"""Sections of what there is: keys, the cartridges that they are on, drives. Pure."""

from __future__ import annotations

from qekm_cli.render import Plain
from qekm_cli.report import definitions
from qekm_cli.report.plot import bars, columns
from qekm_cli.report.section import Figure, Section, Table, more, said, text, when

MOST_BARS, MOST_COLUMNS = 20, 36
_COUNT = frozenset({1})


def sections(report: Plain) -> tuple[Section, ...]:
    """Return the sections of keys, cartridges and drives."""
    return _keys(report["keys"]), _cartridges(report), _drives(report)


def total(counts: list[Plain]) -> int:
    """Return how many keys there are in all states."""
    return sum(each["count"] for each in counts)


def _keys(keys: Plain) -> Section:
    about = definitions.KEYS
    if not keys["counts"]:
        return Section("Keys", about, nothing="The store holds no key.")
    facts = (
        ("Keys in all", text(total(keys["counts"]))),
        ("Destroyed or to be destroyed", text(_in(keys["counts"], "destroyed", "destroy-pending"))),
        ("Compromised", text(_in(keys["counts"], "compromised"))),
    )
    figures = _states(keys), _groups(keys), _ages(keys), _months(keys)
    return Section("Keys", about, facts, figures)


def _in(counts: list[Plain], *states: str) -> int:
    return sum(each["count"] for each in counts if each["state"] in states)


def _states(keys: Plain) -> Figure:
    rows = [(str(each["state"]), each["count"]) for each in keys["counts"]]
    return _counted("Keys by state", "state", "keys", rows)


def _groups(keys: Plain) -> Figure:
    """Return the groups: bars of the largest, a table of all that were told."""
    states = [each["state"] for each in keys["counts"]]
    named = [(text(each["group"]), each["counts"]) for each in keys["groups"]]
    rows = [
        (name, text(total(counts)), *(text(_in(counts, state)) for state in states)) for name, counts in named
    ]
    drawn = [(name, total(counts)) for name, counts in named[:MOST_BARS]]
    count = len(named) + keys["more_groups"]
    title = "Keys by group" if count <= MOST_BARS else f"Keys by group, the {MOST_BARS} largest of {count:,}"
    plot = bars(title, said(drawn, "keys"), "keys", drawn)
    left = f"and {keys['more_groups']:,} more groups with {keys['more_keys']:,} keys"
    titles = ("group", "keys", *map(str, states))
    numbers = frozenset(range(1, len(titles)))
    table = Table("Keys by group and state", titles, tuple(rows), numbers, left * bool(keys["more_groups"]))
    return Figure(plot, table)


def _ages(keys: Plain) -> Figure:
    rows = [(_age(each), each["count"]) for each in keys["ages"]]
    return _counted("Keys that are not destroyed, by age", "age", "keys", rows)


def _age(bucket: Plain) -> str:
    least, end = bucket["from_days"], bucket["to_days"]
    return f"{least:,} days or more" if not end else f"{least:,} to {end - 1:,} days"


def _months(keys: Plain) -> Figure:
    months = keys["months"][-MOST_COLUMNS:]
    before = keys["before"] + sum(each["count"] for each in keys["months"][:-MOST_COLUMNS])
    named = [(each["start_time"][:7], each["count"]) for each in months]
    label = "keys made in a month"
    title = f"Keys made, the last {len(named)} months" if len(named) > 1 else "Keys made, this month"
    plot = columns(
        title, said(named, "keys"), [name for name, _ in named], [(label, [count for _, count in named])]
    )
    rows = tuple((name, text(count)) for name, count in named if count)
    left = f"and {before:,} keys before" if before else ""
    return Figure(
        plot, Table(f"{title} (months without any are left out)", ("month", "keys"), rows, _COUNT, left)
    )


def _cartridges(report: Plain) -> Section:
    told = report["cartridges"]
    about = definitions.CARTRIDGES
    if not told["spread"]:
        return Section("Cartridges", about, nothing="No drive has confirmed a key for writing yet.")
    used = sum(each["keys"] for each in told["spread"])
    facts = (
        ("Different cartridges", text(told["cartridge_count"])),
        ("Keys that are on a cartridge", text(used)),
        ("Keys that are on none yet", text(max(0, total(report["keys"]["counts"]) - used))),
        (
            "Keys that are on more than one",
            text(sum(e["keys"] for e in told["spread"] if e["cartridges"] > 1)),
        ),
    )
    rows = [(_number(each["cartridges"]), each["keys"]) for each in told["spread"]]
    spread = _counted("Cartridges per key", "cartridges", "keys", rows)
    shared = Table(
        "Keys on more than one cartridge, those with the most first",
        ("key", "cartridges", "first written", "last written"),
        tuple(
            (text(e["alias"]), text(e["cartridges"]), when(e["first_time"]), when(e["last_time"]))
            for e in told["shared"]
        ),
        _COUNT,
        more(told["more_shared"], "keys"),
    )
    return Section("Cartridges", about, facts, (spread,), (shared,) if told["shared"] else ())


def _number(cartridges: int) -> str:
    return f"{cartridges} or more" if cartridges >= 20 else f"{cartridges} cartridge{'s' * (cartridges != 1)}"


def _drives(report: Plain) -> Section:
    about = definitions.DRIVES
    waiting = report["pending_drive_count"]
    facts = (("Accepted drives", text(report["drive_count"])), ("Waiting to be accepted", text(waiting)))
    if not report["drives"]:
        return Section("Drives", about, facts, nothing="No drive was accepted yet.")
    rows = tuple(_drive(each) for each in report["drives"])
    titles = ("serial", "product", "alias", "last seen", "new", "read", "refused")
    left = more(report["drive_count"] - len(rows), "drives")
    return Section("Drives", about, facts, (), (Table("Drives", titles, rows, frozenset({4, 5, 6}), left),))


def _drive(told: Plain) -> tuple[str, ...]:
    drive = told["drive"]
    product = " ".join(filter(None, (drive["vendor"], drive["product"], drive["firmware"])))
    counts = (text(told[name]) for name in ("created", "read", "refused"))
    return (
        text(drive["serial"]),
        text(product),
        text(drive["alias"]),
        when(drive["last_seen_time"]),
        *counts,
    )


def _counted(title: str, name: str, unit: str, rows: list[tuple[str, int]]) -> Figure:
    """Return bars and the table of the same rows."""
    told = tuple((name, text(count)) for name, count in rows)
    return Figure(bars(title, said(rows, unit), unit, rows), Table(title, (name, unit), told, _COUNT))
