"""What somebody was told, by whom it was noted at once: a line each, for the judge of what is left.

A note is written before the service hears that its answer came. It goes to a file outside of what is hurt,
by a call that no rig has fail (writev), with the time: the judge of a power cut knows what was told before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.keys import InstalledKey

GIVEN = "given"  # alias, SHA-256 of the material, mount id, volser: a drive has the key
MADE = "made"  # aliases: keys that an administrator was told of
DOOMED = "doomed"  # aliases: their destruction was asked for, and may have happened
GONE = "gone"  # aliases: destroyed
BACKED = "backed"  # name, SHA-256 of the file: a backup that is VERIFIED
ROTATED = "rotated"  # version of the record key, which no key is older than
TAKEN = "taken"  # alias, SHA-256 of the material: a key of another site, imported
REACHED = "reached"  # name: of a failpoint, just before it fails
DONE = "done"  # an act that has no more to say


@dataclass(frozen=True, slots=True)
class Note:
    """One line."""

    time_ns: int
    kind: str
    words: tuple[str, ...]


class Notes:
    """Writes notes to a file that all processes of a rig append to."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def put(self, kind: str, *words: str) -> None:
        """Note that somebody was told, now."""
        line = ",".join((str(time.monotonic_ns()), kind, *words)) + "\n"
        os.writev(self._handle, [line.encode()])

    def recorder(self) -> Callable[[InstalledKey, Errand], None]:
        """Return what a drive calls with each key that it installs."""

        def record(key: InstalledKey, errand: Errand) -> None:
            digest = sha256(key.material).hexdigest()
            self.put(GIVEN, key.alias, digest, errand.mount_id.hex(), errand.volser)

        return record


def read_notes(path: Path, until_ns: int | None = None) -> list[Note]:
    """Return the whole lines of a file, those only that are not later."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    notes = (line.split(",") for line in lines)
    found = [Note(int(time_ns), kind, tuple(words)) for time_ns, kind, *words in notes]
    return [note for note in found if until_ns is None or note.time_ns <= until_ns]


def named(notes: Iterable[Note], kind: str) -> set[str]:
    """Return all words of the notes of a kind."""
    return {word for note in notes if note.kind == kind for word in note.words}
