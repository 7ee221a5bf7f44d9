"""A walk through everything that happens to a key manager, step by step, with drives that remember.

Real processes. A step is a method without arguments; the walk holds what is read against what was written.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qekm.clock import now_us
from qekm.dkp.codes import Ask, Code
from qekm.v1 import backups_pb2, keystore_pb2, slots_pb2
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome, Refused
from qekm_gateway.simulator.link import Connection, NoAnswer, Server
from tests.faults.site import Site
from tests.system.processes import run_server

PATIENCE_S = 60.0
BATCH = 24  # keys that an administrator makes
NO_KEYS = (Code.EE34, Code.EE31)


@dataclass(frozen=True, slots=True)
class Written:
    """A cartridge, the drive that wrote it, and the key that it has."""

    errand: Errand
    drive: Drive
    alias: str
    dki: bytes
    material: bytes


@dataclass
class Walk:
    """Where the walk is: the site, what was written, what was done how often."""

    site: Site
    dice: random.Random
    written: list[Written] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    number: int = 0

    @property
    def steps(self) -> dict[Callable[[], None], int]:
        """Return what can be done, and how often in a hundred."""
        return {
            self.write: 30,
            self.read: 22,
            self.repeat: 6,
            self.break_off: 6,
            self.kill: 12,
            self.restart: 3,
            self.generate: 7,
            self.back_up: 8,
            self.rotate: 4,
            self.compromise: 4,
            self.restore: 2,
            self.adopt: 2,
        }

    def walk(self, steps: int) -> None:
        """Take so many steps, then read everything that was ever written."""
        every = self.steps
        for step in self.dice.choices([*every], [*every.values()], k=steps):
            self.counts[step.__name__.replace("_", " ")] += 1
            step()
        for wanted in self.written:
            self._read(wanted)

    # What drives do.

    def write(self) -> None:
        """Have a drive write a new cartridge."""
        self.number += 1
        errand = Errand(Ask.CREATE, f"W{self.number:05d}L4", self.dice.randbytes(16), "LIB1")
        self._write(self.dice.choice(self.site.drives), errand)

    def read(self) -> None:
        """Have any drive read any cartridge."""
        if self.written:
            self._read(self.dice.choice(self.written))

    def repeat(self) -> None:
        """Have a drive ask again for its last mount; a store that was put back knows nothing of it."""
        if self.written and not (self.counts["restore"] or self.counts["adopt"]):
            last = self.written[-1]
            self._hold(last, self._insist(last.drive, last.errand))

    def break_off(self) -> None:
        """Have a drive take a key and say nothing more: nobody but this mount may ever get it."""
        self.number += 1
        drive = self.dice.choice(self.site.drives)
        errand = Errand(Ask.CREATE, f"W{self.number:05d}L4", self.dice.randbytes(16), "LIB1")
        session = Session(drive, errand, self.site.anchors, os.urandom, now_us)
        drive.clear()
        with suppress(NoAnswer, Refused), Connection(Server("127.0.0.1", self.site.port)) as connection:
            frame: bytes | None = session.begin()
            while frame is not None and drive.key is None:
                frame = session.receive(connection.ask(frame))
        if drive.key is not None:
            key = drive.key
            self.written.append(Written(errand, drive, key.alias, key.dki, key.material))

    # What happens to the processes.

    def kill(self) -> None:
        """Kill the service, the gateway or both while a drive asks for a key, and start them again."""
        drive = threading.Thread(target=self.write)
        drive.start()
        time.sleep(self.dice.uniform(0, 0.1))
        for name in self.dice.choice([["server"], ["gateway"], ["server", "gateway"], ["gateway", "server"]]):
            self.site.estate.kill(name)
        self._start()
        drive.join(2 * PATIENCE_S)
        assert not drive.is_alive()

    def restart(self) -> None:
        """Stop everything as one should, and start it again."""
        self._stop()
        self._start()

    # What people do.

    def generate(self) -> None:
        """Make keys, which nobody gets before a backup has them."""
        with self._client() as client:
            list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=BATCH)))

    def back_up(self) -> None:
        """Make a backup."""
        with self._client() as client:
            list(client.backups.CreateBackup(backups_pb2.CreateBackupRequest()))

    def rotate(self) -> None:
        """Begin a new record key, and leave while keys are sealed anew."""
        with self._client() as client:
            stream = client.keystore.RotateKeystore(keystore_pb2.RotateKeystoreRequest(proof=self._proof()))
            next(iter(stream))
            stream.cancel()

    def compromise(self) -> None:
        """Call a key compromised, or one that was taken out of use; its cartridge is read all the same."""
        if self.written:
            chosen = self.dice.choice(self.written)
            with self._client() as client, suppress(Exception):  # it may be that already
                client.keystore.CompromiseKeys(
                    keystore_pb2.CompromiseKeysRequest(aliases=[chosen.alias], reason="lost")
                )
            self._read(chosen)

    def restore(self) -> None:
        """Put the newest backup in the place of the store."""
        self.generate()
        self.back_up()
        self._stop()
        backups = (self.site.folder / "backups").glob("*.qbk")
        newest = max(backups, key=lambda path: path.stat().st_mtime_ns)
        self._offline("restore", "--replace", newest)
        self._start()
        self.back_up()  # the new pool waits for one

    def adopt(self) -> None:
        """Put an old copy of the store back: nothing new is given until it is made the present one."""
        self._stop()
        store = self.site.estate.home.store
        old = store.read_bytes()
        self._start()
        self.write()
        self._stop()
        store.write_bytes(old)
        self._start()
        with self._client() as client:
            assert client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest()).read_only
        before = self.counts["no key left"]
        self.write()
        assert self.counts["no key left"] == before + 1, "an old copy gave a new key"
        self.read()
        self._stop()
        self._offline("adopt", "--i-have-no-newer-store")
        self._start()
        self.back_up()

    # Parts of the above.

    def _write(self, drive: Drive, errand: Errand) -> None:
        try:
            key = self._insist(drive, errand).key
        except Refused as refusal:
            if refusal.number not in NO_KEYS:
                raise
            self.counts["no key left"] += 1
            return
        assert key is not None
        self.written.append(Written(errand, drive, key.alias, key.dki, key.material))

    def _read(self, wanted: Written) -> None:
        drive, mount = self.dice.choice(self.site.drives), self.dice.randbytes(16)
        errand = Errand(Ask.ACQUIRE, wanted.errand.volser, mount, "LIB1", dki=wanted.dki)
        self._hold(wanted, self._insist(drive, errand))

    def _hold(self, wanted: Written, outcome: Outcome) -> None:
        """Hold a key that came against the one that was written with."""
        key = outcome.key
        assert key is not None
        assert (key.alias, key.material) == (wanted.alias, wanted.material), wanted.errand.volser

    def _insist(self, drive: Drive, errand: Errand) -> Outcome:
        """Ask until there is a key manager and the key is confirmed; Refused for what is final."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            drive.clear()
            try:
                outcome = self.site.library(drive).request(drive.serial, errand)
                if outcome.confirmed:
                    return outcome
            except (NoAnswer, Refused) as problem:
                away = isinstance(problem, NoAnswer) or problem.number == Code.EE0F
                if not away or time.monotonic() > deadline:
                    raise

    def _start(self) -> None:
        self.site.estate.start()
        self.site.estate.wait_gateway()

    def _stop(self) -> None:
        assert self.site.estate.stop() == {"gateway": 0, "server": 0}

    def _offline(self, *words: str | Path) -> None:
        home = self.site.estate.home
        done = run_server(words[0], "--home", home.path, "--key-file", home.root_key, *words[1:])
        assert done.returncode == 0, done.stderr

    def _proof(self) -> slots_pb2.Proof:
        return slots_pb2.Proof(key_file=self.site.estate.home.root_key.read_bytes())

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with self.site.estate.client() as client:
            self.site.estate.unlock(client)
            yield client
