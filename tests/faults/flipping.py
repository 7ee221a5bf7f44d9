"""Damage to a file, attempt after attempt, and what comes of each: it is refused, or changes nothing.

The attempts run in processes of their own, side by side, each on a copy of the whole folder in memory where
the machine has such a place; in them a build can be broken on purpose (sabotage.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.reading import Refused
from tests.faults.sabotage import sabotage
from tests.faults.scene import CONTEXT
from tests.faults.sizes import PROCESSES

MEMORY = Path("/dev/shm")  # copies are made and thrown away thousands of times
_CHUNK = 50

Look = Callable[[Path, Any], Any]  # folder, what is expected (None: nothing yet) -> what can be read; Refused
Edit = Callable[[bytes, int], bytes]


@dataclass
class Tally:
    """What came of the attempts: by whom they were noticed, how many changed nothing, and the others."""

    noticed: Counter[str] = field(default_factory=Counter)
    benign: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def detected(self) -> int:
        """Return how many were noticed."""
        return self.noticed.total()

    def add(self, other: Tally) -> None:
        """Take over another tally's counts."""
        self.noticed += other.noticed
        self.benign += other.benign
        self.missed += other.missed

    def __str__(self) -> str:
        noticed = ", ".join(f"{count:,} {how}" for how, count in self.noticed.most_common())
        missed = f"; the first: {'; '.join(self.missed[:5])}" if self.missed else ""
        return (
            f"{self.detected:,} detected ({noticed or 'by nobody'}), {self.benign:,} changed nothing, "
            f"{len(self.missed):,} MISSED{missed}"
        )


def flip(content: bytes, bit: int) -> bytes:
    """Return the content with one bit inverted."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def cut(content: bytes, size: int) -> bytes:
    """Return the beginning of the content."""
    return content[:size]


def pick(folder: Path, _content: bytes, number: int) -> bytes:
    """Return the content of a file of the folder that has the number for its name."""
    return (folder / str(number)).read_bytes()


def damage(folder: Path, file: str, look: Look, edit: Edit, numbers: Sequence[int], build: str = "") -> Tally:
    """Make each attempt on a copy of the folder: `edit` of the file with its number, then `look`.

    look, edit: functions of a module, for they are called in other processes.
    """
    tally = Tally()
    parts = [numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]
    workers = min(PROCESSES, len(parts))
    with ProcessPoolExecutor(workers, CONTEXT, sabotage, (build,)) as pool:
        for part in pool.map(
            _attempt, *zip(*((folder, file, look, edit, part) for part in parts), strict=True)
        ):
            tally.add(part)
    return tally


def _attempt(folder: Path, file: str, look: Look, edit: Edit, numbers: Sequence[int]) -> Tally:
    tally = Tally()
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        place = Path(scratch) / "copy"
        expected = _looked(folder, place, look)
        content = (folder / file).read_bytes()
        for number in numbers:
            _reset(folder, place)
            (place / file).write_bytes(edit(content, number))
            try:
                same = look(place, expected) == expected
            except Refused as refusal:
                tally.noticed[str(refusal)] += 1
            except Exception as error:  # nobody expects it, so nobody is told anything of use
                line = traceback.extract_tb(error.__traceback__)[-1]
                tally.missed.append(f"{number}: {error!r} in {Path(line.filename).name}:{line.lineno}")
            else:
                tally.benign += same
                tally.missed += [] if same else [f"{number}: something else is read"]
    return tally


def _looked(folder: Path, place: Path, look: Look) -> Any:
    _reset(folder, place)
    return look(place, None)


def _reset(folder: Path, place: Path) -> None:
    """Have a fresh copy of the folder in place."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
