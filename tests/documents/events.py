"""What happens between the boxes of docs/operations.md, by the words of its comments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.init import Wanted, make
from qekm.unlocking import Means
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.authority import make_drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.documents.blocks import FIRST
from tests.documents.stage import Stage
from tests.fakes.original import ours
from tests.system.command import QEKM
from tests.system.processes import FREE_PORTS
from tests.waiting import PATIENCE_S

_LOOK_S = 0.5


class Events:
    """What a stage can have happen, and the drive that works there."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._drive = make_drive(stage.authority, "001300000392", now_us())
        self._dki = b""
        stage.events |= {
            "the first backup is proved": lambda: self._see(
                FIRST, "status.ready_key_count", "server", "status"
            ),
            "a drive has written a cartridge": self._write,
            "a drive has read it at ekm2": lambda: self._read("ekm2"),
            "a drive has read it at ekm3": lambda: self._read("ekm3"),
            "both servers have the same": self._agree,
            "ekm1 is lost": lambda: self._lose(FIRST),
            "ekm2 is lost": lambda: self._lose("ekm2"),
            "an old keystore is here": self._bring_keystore,
            "the other site has a key manager": self._found,
        }

    def _ask(self, place: str, *words: str) -> Any:
        """Return the document of a command that ends well or with a verdict; {} else."""
        done = subprocess.run(
            [*QEKM, *words, "--json"],
            env=self._stage.environ(place),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode in (0, 5) else {}

    def _wait(self, so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < end, "it never was so"
            time.sleep(_LOOK_S)

    def _see(self, place: str, path: str, *words: str) -> None:
        """Wait until a document has something at a path."""

        def there() -> bool:
            found = self._ask(place, *words)
            for name in path.split("."):
                found = found.get(name, {})
            return bool(found)

        self._wait(there)

    def _agree(self) -> None:
        """Wait until the servers are linked, and each has all that the other has."""

        def same() -> bool:
            others = [row for row in self._ask(FIRST, "peers", "status").get("peers", []) if not row["self"]]
            return bool(others) and all(
                row["connected"] and not row["lag_records"] and not row["behind_records"] for row in others
            )

        self._wait(same)

    def _library(self, place: str) -> Library:
        home = self._stage.home(place)
        told = home.running("gateway")
        assert told is not None, f"no gateway runs at {place}"
        server = Server("127.0.0.1", told.ports["tcp"])
        return Library("LIB1", [self._drive], [server], load_anchors([], [home.trust]), os.urandom, now_us)

    def _write(self) -> None:
        errand = Errand(Ask.CREATE, "A00001L4", os.urandom(16), "LIB1")
        key = self._library(FIRST).request(self._drive.serial, errand).key
        assert key is not None
        self._dki = key.dki

    def _read(self, place: str) -> None:
        self._drive.clear()
        errand = Errand(Ask.ACQUIRE, "E00001L4", os.urandom(16), "LIB1", dki=self._dki)
        key = self._library(place).request(self._drive.serial, errand).key
        assert key is not None
        assert key.dki == self._dki

    def _lose(self, place: str) -> None:
        """Burn a machine."""
        self._stage.end(place)
        shutil.rmtree(self._stage.home(place).path)

    def _found(self) -> None:
        """Make the key manager of another site; its people have the same password."""
        file = self._stage.folder / "password"
        file.write_text(self._stage.passwords["keystore"] + "\n")
        wanted = Wanted(
            keys=2, properties={**FREE_PORTS, "twoPerson": "off"}, means=Means(password_file=file)
        )
        make(self._stage.home("the other site"), wanted, now_us)

    def _bring_keystore(self) -> None:
        ours(2)(self._stage.folder / "EKMKeys.jck", *2 * (self._stage.passwords["old keystore"],))
