"""Servers on hosts of their own, and drives on a third that work with them while they are hurt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Patience
from tests.faults.worker import Worker
from tests.peers.namespaces import Host, Network
from tests.peers.server import PATIENCE_S, Server

SERIALS = ("001300000392", "001310000363")
HASTY = Patience(away=2.0)  # as the protocol has it, but sooner back: a test need not wait for that


class Partition(Library):
    """A library's partition that knows whether its first server gave the last key, at once.

    went_on: when another one did, last (monotonic, s).
    """

    by_the_first, went_on = False, 0.0

    def request(self, serial: str, errand: Errand) -> Outcome:
        """Have a drive ask the key managers."""
        met, asked = len(self.tickets), self._order.of(self.servers)[0]
        outcome = super().request(serial, errand)
        self.by_the_first = asked == self.servers[0] and len(self.tickets) == met
        if not self.by_the_first:
            self.went_on = time.monotonic()
        return outcome


class Hand(Worker):
    """A drive at work on a host of the network; when it installed keys is in `installed` (monotonic, s)."""

    def __init__(self, host: Host, drive: Drive, library: Partition, book: Path, prefix: str) -> None:
        super().__init__(drive, library, book, prefix)
        self.installed, self.library = list[float](), library
        self._host, note = host, self._record

        def record(key: InstalledKey, errand: Errand) -> None:
            self.installed.append(time.monotonic())
            note(key, errand)

        drive.record = record

    def run(self) -> None:
        """Work there."""
        with self._host.entered():
            super().run()


@dataclass(frozen=True, slots=True)
class Site:
    """Servers, and the drives of a library that knows them in this order."""

    servers: tuple[Server, ...]
    place: Host  # of the library
    folder: Path  # where the drives keep their books
    drives: tuple[Drive, ...]
    anchors: Anchors

    @property
    def books(self) -> list[Path]:
        """The drives' books."""
        return [self.folder / f"book-{drive.serial}" for drive in self.drives]

    def library(self, drive: Drive, *servers: Server) -> Partition:
        """Return a partition of one drive that is told of these servers, or of all."""
        told = [server.address for server in servers or self.servers]
        return Partition("LIB1", [drive], told, self.anchors, os.urandom, now_us, HASTY)

    @contextmanager
    def at_work(self, prefix: str = "", order: Sequence[Sequence[Server]] = ((), ())) -> Iterator[list[Hand]]:
        """Have all drives work for a block, each with the servers in its order."""
        hands = [
            Hand(self.place, drive, self.library(drive, *servers), book, f"{prefix}{letter}")
            for drive, book, letter, servers in zip(self.drives, self.books, "AB", order, strict=True)
        ]
        for hand in hands:
            hand.start()
        try:
            yield hands
        finally:
            for hand in hands:
                hand.stop()
        troubles = [trouble for hand in hands for trouble in hand.trouble]
        assert not troubles, troubles


def work(hands: Sequence[Hand], more: int = 2, patience_s: float = PATIENCE_S) -> None:
    """Wait until every drive has done more; AssertionError for what must not happen to one."""
    wanted = [hand.exchanges + more for hand in hands]
    deadline = time.monotonic() + patience_s
    while any(hand.exchanges < number for hand, number in zip(hands, wanted, strict=True)):
        troubles = [trouble for hand in hands for trouble in hand.trouble]
        assert not troubles, troubles
        tickets = [str(hand.tickets[-1]) for hand in hands if hand.tickets]
        assert time.monotonic() < deadline, f"a drive gets no key; the last tickets: {tickets}"
        time.sleep(0.01)


def trust(server: Server, authority: Authority) -> None:
    """Have a server believe the drives of an authority."""
    file = server.home.path / "drives.pem"
    file.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    server.ask("drives", "authorities", "add", str(file))


@contextmanager
def strangers(network: Network, folder: Path, keys: int = 256) -> Iterator[Site]:
    """Have two servers that do not know each other, each with an estate of its own, on alpha and beta."""
    authority = make_authority(now_us())
    servers = tuple(Server.make(network[name], folder / name, keys) for name in ("alpha", "beta"))
    with running(*servers):
        for server in servers:
            trust(server, authority)
        yield sited(network, folder, authority, servers)


def sited(
    network: Network, folder: Path, authority: Authority, servers: tuple[Server, ...], since_us: int = 0
) -> Site:
    """Return a site with two new drives of an authority; since_us: from when their certificates are valid."""
    drives = tuple(make_drive(authority, serial, since_us or now_us()) for serial in SERIALS)
    anchors = load_anchors([], [server.home.trust for server in servers])
    return Site(servers, network["library"], folder, drives, anchors)


@contextmanager
def explained(*servers: Server) -> Iterator[None]:
    """Show what servers said when something in a block fails."""
    try:
        yield
    except BaseException:
        for server in servers:
            for output in sorted(server.home.path.glob("*.out")):
                print(f"--- {output}", output.read_text(errors="replace")[-4_000:], sep="\n")
        raise


@contextmanager
def running(*servers: Server, environ: Mapping[str, str] | None = None) -> Iterator[tuple[Server, ...]]:
    """Run servers for a block; what they said is shown when something in it fails, and none is left."""
    try:
        with explained(*servers):
            for server in servers:
                server.start(environ)
            yield servers
    finally:
        for server in servers:
            with suppress(ProcessLookupError):
                server.close()
