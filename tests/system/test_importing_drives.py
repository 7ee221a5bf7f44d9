"""The largest table of drives is taken in while a drive works: none of its exchanges fails."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.dkp.codes import Ask, Code
from qekm.v1.drives_pb2 import CreateAuthorityRequest, Drive, ImportDrivesRequest, ListDrivesRequest
from qekm_gateway.batches import DEADLINE
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.errand import Errand, Refused
from qekm_gateway.simulator.link import Connection, NoAnswer, Server, converse
from tests.system.processes import Estate, made

COUNT = 10_000
SERIAL = "001300000392"
TRIES = 3
PROMISE_S = 5.0  # for an import, beside a drive that asks without a pause


class TooLate(Exception):
    """An exchange was given up at the end of its time, by the gateway or by the drive; nothing broke."""


class Exchanges:
    """A drive that reads a cartridge again and again, and how long each exchange takes; none is retried."""

    def __init__(self, estate: Estate) -> None:
        """Trust the drive's authority, and have a cartridge written."""
        authority = make_authority(now_us())
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        self._drive = make_drive(authority, SERIAL, now_us())
        self._server = Server("127.0.0.1", estate.ports["tcp"])
        self._anchors = load_anchors([], [estate.home.trust])
        self._dki = b""
        self._dki = self._ask(Ask.CREATE)

    def _ask(self, ask: Ask) -> bytes:
        errand = Errand(ask, volser="E01001L4", mount_id=os.urandom(16), dki=self._dki)
        session = Session(self._drive, errand, self._anchors, os.urandom, now_us)
        begun = time.monotonic()
        try:
            with Connection(self._server) as connection:
                outcome = converse(connection, session)
        except (NoAnswer, Refused) as problem:
            took_s = time.monotonic() - begun
            if took_s >= DEADLINE and _is_of_time(problem):
                raise TooLate(f"{problem} ({took_s:.1f} s)") from problem
            raise
        assert outcome.key is not None
        return outcome.key.dki

    def until(self, done: Callable[[int], bool]) -> Sequence[float]:
        """Exchange until `done` says so of their number; return how many seconds each took."""
        taken: list[float] = []
        while not done(len(taken)):
            begun = time.monotonic()
            self._ask(Ask.TRANSLATE)
            taken.append(time.monotonic() - begun)
        return taken


def _is_of_time(problem: NoAnswer | Refused) -> bool:
    """Tell whether a drive is told this at the end of a step's time, or says it at the end of its own."""
    if isinstance(problem, Refused):
        return problem.number == Code.EE0F
    return problem.detail.startswith("no answer in ")


def table(vendor: str) -> Sequence[Drive]:
    """Return entries of other drives, and one of the drive that works."""
    numbers = range(1, COUNT)
    others = [Drive(serial=f"{each:012}", wwnn=each.to_bytes(8), vendor=vendor) for each in numbers]
    return [*others, Drive(serial=SERIAL, group="default")]


IMPORTS = (
    ("created", table("IBM"), False),
    ("updated", table("HP"), False),
    ("deleted", table("HP")[-1:], True),
)


def test_no_exchange_fails_while_ten_thousand_drives_are_taken_in(tmp_path: Path) -> None:
    # What an import holds up it holds up again, and others of this machine do not.
    for left in reversed(range(TRIES)):
        try:
            take_in(tmp_path / f"home{left}")
            break
        except TooLate as problem:
            if not left:
                raise
            print(f"again, as an exchange was too late: {problem}")


def take_in(path: Path) -> None:
    """Take a table in three times while a drive works; TooLate."""
    with made(path) as estate:
        estate.start().wait_gateway()
        exchanges = Exchanges(estate)
        quiet = median(exchanges.until(lambda number: number == 30))
        for what, drives, rewrite in IMPORTS:
            request = ImportDrivesRequest(drives=drives, rewrite=rewrite)
            answer, took_s, taken = imported(estate, exchanges, request)
            assert getattr(answer, what) >= COUNT - 1
            told = (
                f"the slowest of {len(taken)} exchanges took {max(taken) / quiet:.0f} times the quiet median"
            )
            print(f"{COUNT:,} drives {what} in {took_s:.1f} s; {told}, {quiet * 1000:.0f} ms")
            assert took_s < 3 * PROMISE_S
        with estate.client() as client:
            assert client.drives.ListDrives(ListDrivesRequest()).total == 1


def imported(
    estate: Estate, exchanges: Exchanges, request: ImportDrivesRequest
) -> tuple[Any, float, Sequence[float]]:
    """Import while the drive works; return the answer, how long it took, and how long each exchange did."""
    answers: list[tuple[Any, float]] = []
    with estate.client() as client:
        begun = time.monotonic()

        def run() -> None:
            answers.append((client.drives.ImportDrives(request), time.monotonic() - begun))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            taken = exchanges.until(lambda number: number > 0 and not thread.is_alive())
        finally:
            thread.join()
    ((answer, took_s),) = answers
    return answer, took_s, taken
