"""What the service's own answers say is not as it should be. Pure: over plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.doctor.versions import differs, older, stale
from qekm_cli.peer_lines import is_troubled
from qekm_cli.render import Plain

APART = timedelta(seconds=60)  # of two clocks; certificates begin five minutes early
_FAR = timedelta(minutes=5)
_UPDATE = "update both to the same version; a service is begun anew with: qekm server stop, qekm server start"


def versions(theirs: str, ours: str) -> Iterator[Seen]:
    """Yield whether the service is of another version than this program."""
    if not differs(theirs, ours):
        yield fine(f"version {theirs}")
        return
    word = "older" if older(theirs, ours) else "newer"
    told = f"the service is of version {theirs}, {word} than this program ({ours})"
    yield (broken if stale(theirs, ours) else doubtful)(told, _UPDATE)


def clocks(theirs: datetime | None, ours: datetime) -> Iterator[Seen]:
    """Yield whether the service's clock is another than ours; older services do not tell theirs."""
    if theirs is None:
        return
    apart = abs(theirs - ours)
    if apart > APART:
        which = "behind" if theirs < ours else "ahead of"
        told = f"the service's clock is {_span(apart)} {which} this machine's"
        yield (broken if apart > _FAR else doubtful)(told, "compare both: date -u; timedatectl set-ntp true")


def _span(apart: timedelta) -> str:
    return f"{apart.days:,} days" if apart.days else f"{apart.seconds:,} s"


def degraded(lines: Iterable[str]) -> Iterator[Seen]:
    """Yield what the service says of itself."""
    hint = "qekm server status tells all of it"
    found = [(broken if line.startswith("READ ONLY") else doubtful)(line, hint) for line in lines]
    yield from found or [fine("the service has nothing to say against itself")]


def gateways(rows: Iterable[Plain], version: str) -> Iterator[Seen]:
    """Yield whether drives are served."""
    rows = list(rows)
    if not rows:
        told = "no gateway is connected: no drive is served"
        log = "keymanager/native_stderr.log, or under systemd journalctl -u qekm-gateway"
        yield broken(told, f"qekm server start; or see {log}, and qekm doctor where it runs")
    for row in rows:
        told = f"gateway {row['name']}, version {row['version']}, drives at {', '.join(row['addresses'])}"
        if stale(row["version"], version):
            yield broken(f"{told}: the service is of {version}", _UPDATE)
        else:
            yield fine(told)


def drives(lines: Iterable[str], count: int) -> Iterator[Seen]:
    """Yield whether a drive could prove who it is."""
    if any("no drive authority" in line for line in lines):
        told = "no drive authority is trusted: no drive can prove who it is"
        yield doubtful(told, "qekm drives authorities add FILE, with the vendor's certificate")
    else:
        yield fine(f"{count:,} drives, and an authority for them")


def keys(groups: Iterable[Plain]) -> Iterator[Seen]:
    """Yield the groups that have nothing left to give out."""
    groups = list(groups)
    for row in groups:
        ready = row["ready_count"]
        if ready:
            continue
        told = f"group {row['name']} has no key to give out ({row['key_count']:,} in all)"
        makes = "qekm keys generate makes some; new ones wait for a backup or a peer: qekm backup list"
        yield broken(told, makes) if row["is_default"] else doubtful(told, makes)
    yield fine(", ".join(f"{row['name']} {row['ready_count']:,}" for row in groups[:8]))


def peers(rows: Iterable[Plain]) -> Iterator[Seen]:
    """Yield the other servers that are away, or differ."""
    others = [row for row in rows if not row["self"] and row["state"] == "joined"]
    if not others:
        yield fine("this server is the only one of its estate")
    for row in others:
        name = row["name"]
        if row["differences"]:
            yield broken(f"server {name} has other rows", "qekm peers status names them; qekm peers sync")
        elif is_troubled(row):
            told = f"server {name} is away, last heard of {row['heard_time']}"
            yield doubtful(f"{told}: {row['last_error']}" if row["last_error"] else told, "qekm doctor there")
        else:
            yield fine(f"server {name} is connected")
