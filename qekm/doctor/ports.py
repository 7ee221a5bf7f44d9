"""Who listens on our ports: we, nobody, or somebody else, as Linux tells it (proc(5): net/tcp, fd)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.doctor.processes import Part
from qekm.home import Home
from qekm.properties.listeners import (
    GATEWAY_METRICS_PORT,
    GRPC_PORT,
    HEALTH_PORT,
    METRICS_PORT,
    SSL_PORT,
    TCP_PORT,
)

_LISTENS = "0A"  # TCP_LISTEN
OWNERS = {
    GRPC_PORT: ("server", "grpc"),
    HEALTH_PORT: ("server", "health"),
    SSL_PORT: ("server", "ssl"),
    METRICS_PORT: ("server", "metrics"),
    TCP_PORT: ("gateway", "tcp"),
    GATEWAY_METRICS_PORT: ("gateway", "metrics"),
}
"""Property: whose port it is, and what its announcement calls it."""
_LEFT_OUT = (SSL_PORT, METRICS_PORT, GATEWAY_METRICS_PORT)  # drives are served without these


@dataclass(frozen=True, slots=True)
class Port:
    """A port that one of ours wants, or has announced: by which property, whose, who listens there.

    pid: of our process, 0 if it does not run. holders: pid and name of who listens; pid 0 is somebody whom
    this user may not look at. announced: whether our process says that it listens there.
    """

    name: str
    number: int
    part: str
    pid: int
    announced: bool
    holders: Mapping[int, str]


def judge(ports: Iterable[Port]) -> Iterator[Seen]:
    """Yield the ports that are not as they should be. Pure."""
    numbers, wrong = [], False
    for port in ports:
        numbers.append(str(port.number))
        for seen in _judge(port):
            wrong = True
            yield seen
    if not wrong:
        yield fine("ports " + ", ".join(numbers) if numbers else "any free ports")


def _judge(port: Port) -> Iterator[Seen]:
    what = f"port {port.number} ({port.name})"
    others = {pid: name for pid, name in port.holders.items() if not pid or pid != port.pid}
    ours = port.pid in port.holders and port.pid > 0
    unknown = 0 in others
    if ours or (port.pid and unknown):  # what is hardened cannot be looked into, not even by its own user
        return
    if port.announced:
        yield broken(
            f"nobody listens on {what}, though the {port.part} says so", "qekm server stop; qekm server start"
        )
    elif others:
        who = ", ".join(f"{name} (pid {pid})" if pid else name for pid, name in others.items())
        told = f"{what} is held by {who}"
        advice = f"stop that program, or set another port: {port.name}"
        yield (doubtful if port.name in _LEFT_OUT else broken)(told, advice)


def survey(home: Home, settings: Settings, parts: Iterable[Part]) -> Iterator[Port]:
    """Yield the ports of a home's parts."""
    listening = listeners()
    known: dict[int, dict[int, str]] = {}
    for part in parts:
        told = home.running(part.name)
        for name, (owner, spoken) in OWNERS.items():
            if owner != part.name:
                continue
            announced = told.ports.get(spoken, 0) if told else 0
            number = announced or settings[name]
            if number:
                if number not in known:
                    known[number] = _holders(listening.get(number, frozenset()))
                yield Port(name, number, part.title, part.pid, bool(announced), known[number])


def listeners() -> dict[int, frozenset[str]]:
    """Return the sockets that listen, by their ports: inodes of this network namespace."""
    found: dict[int, set[str]] = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return {port: frozenset(inodes) for port, inodes in found.items()}


def _holders(inodes: frozenset[str]) -> dict[int, str]:
    """Return who has one of these sockets open; somebody unknown if nobody can be seen."""
    if not inodes:
        return {}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        if _has_open(process, wanted):
            found[int(process.name)] = _name_of(process)
    return found or {0: "a program of another user"}


def _has_open(process: Path, wanted: set[str]) -> bool:
    try:
        names = os.listdir(process / "fd")  # noqa: PTH208 - ten thousand of them
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(process / "fd" / name) in wanted:  # noqa: PTH115
                return True
        except OSError:
            continue
    return False


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
