"""A drive at work: mount after mount it gets a key and notes it in its book; some it reads back at once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from qekm.dkp.codes import Ask, Code
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome, Refused
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import NoAnswer
from qekm_gateway.simulator.oracle import recorder

PATIENCE_S = 60.0  # of a host, for one mount
READ_EVERY = 4  # mounts


class _Over(Exception):
    """There is no key manager any more, and nobody waits for this drive."""


class Worker(threading.Thread):
    """One drive, its library and its host, in a thread; `book` is written before the key manager hears of it.

    `trouble` holds what must not happen and ended the work: a refusal that no library retries, a key that
    another drive's cartridge should have and has not.
    """

    def __init__(self, drive: Drive, library: Library, book: Path, prefix: str) -> None:
        super().__init__(name=f"drive {drive.serial}", daemon=True)
        self._drive, self._library, self._prefix = drive, library, prefix
        self._note = recorder(book)
        self.tickets = library.tickets
        self._over = threading.Event()
        drive.record = self._record
        self.exchanges = 0  # sessions that ended with a key
        self.retried = 0  # errands that the library carried out, but not at once
        self.repeated = 0  # errands that the host had to give again, with the same mount id
        self.unconfirmed = 0  # keys installed without a COMPLETE
        self.trouble: list[str] = []

    def stop(self) -> None:
        """Have it end after the present mount, and wait for that."""
        self._over.set()
        self.join(2 * PATIENCE_S)
        assert not self.is_alive(), "a drive still waits for a key"

    def run(self) -> None:
        """Work until told to stop."""
        number = 0
        try:
            while not self._over.is_set():
                number += 1
                self._mount(number)
        except _Over:
            pass
        except Exception as error:
            self.trouble.append(f"{self._prefix}{number:05d}L4: {error!r}")

    def _mount(self, number: int) -> None:
        errand = Errand(Ask.CREATE, f"{self._prefix}{number:05d}L4", os.urandom(16), self._library.serial)
        key = self._key(errand)
        if number % READ_EVERY == 0:
            reading = Errand(Ask.ACQUIRE, errand.volser, os.urandom(16), self._library.serial, dki=key.dki)
            if self._key(reading).material != key.material:
                raise AssertionError(f"another key was read back as {key.alias}")

    def _key(self, errand: Errand) -> InstalledKey:
        """Return the key of a mount; one that nobody confirmed is asked for again, as after a reset."""
        outcome = self._insist(errand)
        while not outcome.confirmed:
            self.unconfirmed += 1
            outcome = self._insist(errand)
        assert outcome.key is not None
        return outcome.key

    def _insist(self, errand: Errand) -> Outcome:
        """Give an errand to the library, and again when all its retries failed for want of a key manager."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._drive.clear()
            met = len(self.tickets)
            try:
                outcome = self._library.request(self._drive.serial, errand)
            except (NoAnswer, Refused) as problem:
                away = isinstance(problem, NoAnswer) or problem.number == Code.EE0F
                if self._over.is_set() and away:
                    raise _Over from None
                if not away or time.monotonic() > deadline:
                    raise
                self.repeated += 1
                continue
            self.exchanges += 1
            self.retried += len(self.tickets) > met
            return outcome

    def _record(self, key: InstalledKey, errand: Errand) -> None:
        if errand.ask is Ask.CREATE:
            self._note(key, errand)
