"""What a takeover tells, on the terminal and in the home's takeover.txt; no secret is in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import wrap

from qekm.configuration.settings import Settings
from qekm.properties import PROPERTIES, shown
from qekm.properties.listeners import TCP_PORT
from qekm.takeover.original import CLIENT, CONFIG, GROUP
from qekm.takeover.takeover import Takeover

_WIDTH = 100
_MOST_NAMES = 40  # of what was not read: a whole Java may lie there


def report(takeover: Takeover, settings: Settings, now_us: int) -> list[str]:
    """Return the report; settings: those of the new home."""
    original, group = takeover.original, settings["symmetricKeySet"]
    when = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    return [
        f"Taken over from {original.directory} on {when:%Y-%m-%dT%H:%M:%SZ}; nothing in there was changed.",
        *_section("Taken over", _taken(takeover, group)),
        *_section("Kept in the settings, without a meaning here", _kept(takeover)),
        *_section("Not taken over", _left(takeover, group)),
        *_section("Not read", _unread(takeover)),
        *_section("What to do next", _next(takeover, settings)),
    ]


def _taken(takeover: Takeover, group: str) -> Iterator[str]:
    aliases, drives = sorted(takeover.aliases), takeover.original.drives
    span = f"{aliases[0]} to {aliases[-1]}" if len(aliases) > 1 else "".join(aliases)
    yield f"{len(aliases):,} keys of {takeover.original.keystore.name}, into group {GROUP}: {span}"
    yield "  their cartridges are read; nothing new is written with them"
    count = f"{len(drives.drives):,} drives"
    serials = ", ".join(drive.entry.serial for drive in drives.drives)
    yield f"{count} of {drives.file}: {serials}" if drives.drives else count
    for name, text in takeover.original.properties.taken.items():
        yield f"{name} = {text}"
    if takeover.group:
        yield f"symmetricKeySet = {group}: a new group of this name, which new keys come from"


def _kept(takeover: Takeover) -> Iterator[str]:
    for name, text in takeover.original.properties.kept.items():
        yield f"{name} = {shown(name, text)}: {PROPERTIES[name].help}"


def _left(takeover: Takeover, group: str) -> Iterator[str]:
    for alias, why in takeover.left:
        yield f"the key {alias}: {why}"
    others = len(takeover.entries) - len(takeover.aliases) - len(takeover.left)
    if others:
        yield f"{others:,} other entries of {takeover.original.keystore.name}: key pairs and certificates"
    for each in takeover.original.properties.left:
        yield f"{CONFIG}, line {each.line}: {each.name}: {each.why}"
    yield from _of_key_set(takeover, group)
    yield from _of_drives(takeover, group)
    yield from _of_client(takeover)


def _of_key_set(takeover: Takeover, group: str) -> Iterator[str]:
    named = takeover.key_set.aliases
    if named:
        yield f"symmetricKeySet = {takeover.original.key_set}: these keys only read"
        yield f"  new keys come from group {group}"
    there = {entry.alias.casefold() for entry in takeover.entries}
    if takeover.key_set.group and not takeover.group:
        yield f"symmetricKeySet = {takeover.key_set.group}: no group can have this name here"
    missing = [alias for alias in named if alias.casefold() not in there]
    if missing:
        keystore = takeover.original.keystore.name
        yield f"  ATTENTION: {keystore} does not have {', '.join(missing)}: is it the newest copy?"


def _of_drives(takeover: Takeover, group: str) -> Iterator[str]:
    drives = takeover.original.drives
    for drive in drives.drives:
        for name in drive.keys:
            yield f"drive {drive.entry.serial} had {name} as its own: it gets new keys of group {group}"
    if drives.untaken:
        yield f"{', '.join(drives.untaken)} in {drives.file}: each drive tells that itself when it first asks"
    for remark in drives.unclear:
        yield f"{drives.file}, line {remark.line}: {remark.label!r} was not understood"


def _of_client(takeover: Takeover) -> Iterator[str]:
    for line in takeover.original.client:
        yield f"{CLIENT}, line {line.number}: {line.name}: the new home has a file of its own"


def _unread(takeover: Takeover) -> Iterator[str]:
    names = takeover.original.unread
    for name, why in [*names.items()][:_MOST_NAMES]:
        yield f"{name}: {why}" if why else name
    if len(names) > _MOST_NAMES:
        yield f"and {len(names) - _MOST_NAMES:,} more"


def _next(takeover: Takeover, settings: Settings) -> Iterator[str]:
    yield "Keep the old key manager switched off: what it writes from now on could not be read here."
    if settings["keystore.protect"] == "none":
        yield "Start this one: qekm server start"
    else:
        yield "Start this one, and wait for its first backup as new keys do: qekm server start"
    yield "Name the authority whose certificates the drives have: qekm drives authorities add FILE"
    port = settings[TCP_PORT]
    yield f"Set this machine's address and port {port} as key server in the library, in the old one's place."
    yield f"See that the old keys are here: qekm keys list --group {GROUP}"
    yield "Read one old cartridge in each library before you rely on it: qekm audit list --failed"
    if not takeover.original.drives.drives:
        yield "Add the drives, or let them in as they ask (drive.acceptUnknownDrives): qekm drives add SERIAL"
    yield "Keep the old directory and its passwords until every cartridge of it was read or has ended."


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    told = [part for line in lines for part in wrap(line, _WIDTH, subsequent_indent="    ") or [""]]
    if told:
        yield ""
        yield title
        yield from (f"  {line}" for line in told)
