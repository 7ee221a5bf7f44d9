"""A walk through all that happens to two servers of one estate, step by step, with drives that remember.

Real processes on hosts of their own. A step is a method without arguments. Whatever was done to the wire or
to the other server: one that runs gives a key, and reads every key that any server ever gave.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.dkp.names import alias_to_dki
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.link import Patience
from qekm_gateway.simulator.oracle import recorder
from qekm_gateway.simulator.sense import CheckCondition
from tests.faults.verdict import Entry, read_book
from tests.peers.harm import frozen
from tests.peers.pair import caught_up
from tests.peers.server import ASKING_S, PATIENCE_S, Server, until
from tests.peers.site import HASTY, Partition, Site
from tests.peers.wires import Fault, cut, drop, reset

Record = Callable[[InstalledKey, Errand], None]
BATCH = 24  # keys that an administrator makes
BRIEF = Patience(connect=0.3, answer=0.5, pauses=(), away=0.0)  # with a server that is hurt


@dataclass
class Walk:
    """Where the walk is: what is hurt, what was done how often, and which commands were refused."""

    site: Site
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    dead: set[Server] = field(default_factory=set)
    stopped: dict[Server, ExitStack] = field(default_factory=dict)
    wire: Fault | None = None

    def __post_init__(self) -> None:
        for drive, book in zip(self.site.drives, self.site.books, strict=True):
            drive.record = _of_new_cartridges(recorder(book))

    @property
    def steps(self) -> dict[Callable[[], None], int]:
        """Return what can be done, and how often in a hundred."""
        return {
            self.write: 29,
            self.read: 23,
            self.generate: 4,
            self.end: 8,
            self.edit: 8,
            self.harm_wire: 8,
            self.heal: 5,
            self.kill: 4,
            self.start: 4,
            self.stop: 4,
            self.go_on: 3,
        }

    @property
    def well(self) -> list[Server]:
        """The servers that run; one at least does."""
        return [each for each in self.site.servers if each not in self.dead and each not in self.stopped]

    @property
    def given(self) -> list[Entry]:
        """Every key that a drive ever installed."""
        return read_book(*self.site.books)

    def walk(self, steps: int) -> None:
        """Take so many steps, then mend what is hurt and wait until the servers have met."""
        every = self.steps
        for step in self.dice.choices([*every], [*every.values()], k=steps):
            self.counts[step.__name__.replace("_", " ")] += 1
            step()
        self.mend()

    def mend(self) -> None:
        """Heal, go on, start."""
        self.heal()
        self.go_on()
        self.start()
        until(lambda: caught_up(*self.site.servers), "the servers do not meet again", every_s=ASKING_S)

    # What drives do.

    def write(self) -> None:
        """Have a drive write a new cartridge with the key of any server, even of one that is hurt."""
        server = self.dice.choice(self.site.servers)
        if server in self.well:
            self._write(server, HASTY)
        else:
            self._try(server)

    def read(self) -> None:
        """Have a drive read a cartridge with a server that runs, whichever gave the key."""
        if not (given := self.given):
            return
        entry, server = self.dice.choice(given), self.dice.choice(self.well)
        errand = Errand(Ask.ACQUIRE, entry.volser, os.urandom(16), "LIB1", dki=alias_to_dki(entry.alias))
        digest = self._asked(server, errand, HASTY)
        assert digest == entry.digest, f"{server.host.name} has another key for {entry}"

    # What people do.

    def generate(self) -> None:
        """Make keys."""
        server = self.dice.choice(self.well)
        self._order(server, "keys", "generate", str(BATCH), "--key-file", str(server.home.root_key))

    def end(self) -> None:
        """Deactivate or compromise a key that was given: here, and perhaps otherwise at the other server."""
        if given := self.given:
            alias, verb = self.dice.choice(given).alias, self.dice.choice(["compromise", "deactivate"])
            self._order(self.dice.choice(self.well), "keys", verb, alias)

    def edit(self) -> None:
        """Change a drive's entry."""
        serial, firmware = self.dice.choice(self.site.drives).serial, f"{self.dice.randrange(10_000):04d}"
        self._order(self.dice.choice(self.well), "drives", "modify", serial, "--firmware", firmware)

    # What happens to the wire and to the processes.

    def harm_wire(self) -> None:
        """Cut the wire between the servers, one way or both; what was wrong with it before is over."""
        self.heal()
        one, other = self.dice.sample([each.host for each in self.site.servers], 2)
        self.wire = self.dice.choice([cut, drop, reset])(one, other)

    def heal(self) -> None:
        """End what is wrong with the wire."""
        if self.wire is not None:
            self.wire.heal()
            self.wire = None

    def kill(self) -> None:
        """Kill a service while a drive asks it for a key, unless it is the last that runs."""
        if len(self.well) > 1:
            server, moment = self.dice.choice(self.well), self.dice.uniform(0, 0.1)
            drive = threading.Thread(target=self._try, args=(server,))
            drive.start()
            time.sleep(moment)
            server.estate.kill("server")
            self.dead.add(server)
            drive.join(PATIENCE_S)
            assert not drive.is_alive()

    def start(self) -> None:
        """Start what was killed, as systemd does."""
        while self.dead:
            self.dead.pop().start()

    def stop(self) -> None:
        """Stop a service as it stands (SIGSTOP), unless it is the last that runs."""
        if len(self.well) > 1:
            server = self.dice.choice(self.well)
            self.stopped[server] = ExitStack()
            self.stopped[server].enter_context(frozen(server.process("server").pid))

    def go_on(self) -> None:
        """Have what was stopped go on (SIGCONT)."""
        while self.stopped:
            self.stopped.popitem()[1].close()

    # Parts of the above.

    def _try(self, server: Server) -> None:
        """Ask a server that is hurt: whatever it says, a key that it gives is in the book."""
        with suppress(CheckCondition):
            self._write(server, BRIEF)

    def _write(self, server: Server, patience: Patience) -> None:
        self.counts["cartridges"] += 1
        volser = f"W{self.counts['cartridges']:05d}L4"
        digest = self._asked(server, Errand(Ask.CREATE, volser, os.urandom(16), "LIB1"), patience)
        assert digest, f"{server.host.name} gave no key for {volser}"

    def _asked(self, server: Server, errand: Errand, patience: Patience) -> str:
        """Return the digest of the key that a drive gets from a server; CheckCondition."""
        drive, anchors = self.dice.choice(self.site.drives), self.site.anchors
        library = Partition("LIB1", [drive], [server.address], anchors, os.urandom, now_us, patience)
        drive.clear()
        with self.site.place.entered():
            key = library.request(drive.serial, errand).key
        return sha256(key.material).hexdigest() if key else ""

    def _order(self, server: Server, *words: str) -> None:
        """Give a command to a server that runs; what it refuses is noted."""
        code, said, complained = server.order(*words)
        if code:
            self.refused.append(f"{' '.join(words)}: {said}{complained}")


def _of_new_cartridges(note: Record) -> Record:
    """Return what notes the keys that drives write with, and not those that they read with."""

    def record(key: InstalledKey, errand: Errand) -> None:
        if errand.ask is Ask.CREATE:
            note(key, errand)

    return record
