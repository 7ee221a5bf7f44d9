"""A key manager of its own, its drive authority, and two drives that work there while it is hurt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.faults.sabotage import DELAY_S
from tests.faults.worker import PATIENCE_S, Worker
from tests.ports import free_port
from tests.system.processes import Estate, made

SERIALS = ("001300000392", "001310000363")
# At the rate of a test a drive asks for more new keys than any drive does in an hour.
_PROPERTIES = {"drive__creationsPerHour": "1000000"}


@dataclass(frozen=True, slots=True)
class Site:
    """A key manager, its drives, and the drives' port: the same whenever a gateway is started anew."""

    estate: Estate
    folder: Path  # where the drives keep their books
    port: int
    drives: tuple[Drive, ...]
    anchors: Anchors

    @property
    def books(self) -> list[Path]:
        """The drives' books."""
        return [self.folder / f"book-{drive.serial}" for drive in self.drives]

    def library(self, drive: Drive) -> Library:
        """Return a partition of one drive, so that what its retries met is counted by drive."""
        servers = [Server("127.0.0.1", self.port)]
        return Library("LIB1", [drive], servers, self.anchors, os.urandom, now_us)


@contextmanager
def working(
    folder: Path, keys: int, *, home: Path | None = None, build: str = "", **properties: str
) -> Iterator[Site]:
    """Make and start a key manager that knows the authority of two drives; no process of it is left behind.

    Its home is in the folder if not named; `build` is one of broken_service, empty for the real one.
    """
    port = free_port()
    wanted = _PROPERTIES | {"TransportListener__tcp__port": str(port)} | properties
    authority = make_authority(now_us())
    with made(home or folder / "home", keys=keys, **wanted) as estate:
        estate.program = ("tests.faults.broken_service", build) if build else ()
        estate.start()
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        estate.wait_gateway()
        time.sleep(2 * DELAY_S if build else 0)  # all that was told by now is durable, or never will be
        drives = tuple(make_drive(authority, serial, now_us()) for serial in SERIALS)
        with explained(estate):
            yield Site(estate, folder, port, drives, load_anchors([], [estate.home.trust]))


@contextmanager
def at_work(site: Site, prefix: str = "") -> Iterator[list[Worker]]:
    """Have all drives of a site work for a block, on volsers that begin with the prefix."""
    workers = [
        Worker(drive, site.library(drive), book, f"{prefix}{letter}")
        for drive, book, letter in zip(site.drives, site.books, "AB", strict=True)
    ]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def wait_for_exchanges(workers: Sequence[Worker], more: int = 1) -> None:
    """Wait until every drive has done more; AssertionError for what must not happen to a drive."""
    wanted = [worker.exchanges + more for worker in workers]
    deadline = time.monotonic() + PATIENCE_S
    while any(worker.exchanges < number for worker, number in zip(workers, wanted, strict=True)):
        troubles = [trouble for worker in workers for trouble in worker.trouble]
        assert not troubles, troubles
        tickets = [str(worker.tickets[-1][1]) for worker in workers if worker.tickets]
        assert time.monotonic() < deadline, f"a drive gets no key; the last tickets: {tickets}"
        time.sleep(0.01)


@contextmanager
def explained(estate: Estate) -> Iterator[None]:
    """Show what the processes wrote when something in the block fails."""
    try:
        yield
    except BaseException:
        for output in sorted(estate.home.path.glob("*.out")):
            print(f"--- {output}", output.read_text(errors="replace")[-4_000:], sep="\n")
        raise
