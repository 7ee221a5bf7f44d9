"""A process whose n-th system call of a kind fails, as a disk that is broken or full has it fail.

strace is attached to the process before it begins, and answers the call in the kernel's place.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from os import urandom
from pathlib import Path
from typing import Any

from qekm.backup import making
from qekm.backup.aside import Tell
from qekm.backup.writing import Sealing, Written, write
from tests.faults.scene import start

CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "link", "ftruncate", "mkdir")
NAME = 8  # bytes that a new backup's name has at random
_PATIENCE_S = 120.0
_PR_SET_PTRACER, _ANY = 0x59616D61, -1  # linux/prctl.h, for where only a parent may trace
_LINE = re.compile(r"^(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Failure:
    """Which call fails: its name, the error, and that it is each thread's n-th."""

    call: str
    error: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} number {self.number}: {self.error}"


def traced(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function once a tracer is attached to this process; temporary names are always the same."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANY), 0, 0, 0)
    names = (f"t{number}" for number in count())
    tempfile._name_sequence = names  # type: ignore[attr-defined]
    making.write = _write  # type: ignore[attr-defined]
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.001)
    function(*arguments)


def _write(copy: Path, others: Mapping[str, bytes], directory: Path, sealing: Sealing, tell: Tell) -> Written:
    """Write a backup whose name, while it is new, is known beforehand: zeros at its end."""
    named = replace(sealing, random_bytes=lambda length: bytes(length) if length == NAME else urandom(length))
    return write(copy, others, directory, named, tell)


def run(
    strace: str,
    log: Path,
    failure: Failure | None,
    paths: Sequence[Path],
    function: Callable[..., None],
    *arguments: Any,
) -> int | None:
    """Run a function in a process where a call fails, or none; return its exit code.

    log: a file for every call that there was. paths: only calls on these fail; on any if empty.
    """
    process = start(traced, function, *arguments)
    command = [strace, "-f", "-qq", "-o", str(log), "-p", str(process.pid)]
    command += ["-e", f"trace={failure.call if failure else ','.join(CALLS)}"]
    command += [word for path in paths for word in ("-P", str(path))]
    if failure:
        command += ["-e", f"inject={failure.call}:error={failure.error}:when={failure.number}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        process.join(_PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        tracer.communicate(timeout=_PATIENCE_S)
    return process.exitcode


def counted(log: Path) -> dict[str, int]:
    """Return for each call how often the thread made it that made it most often."""
    found = Counter(match.groups() for line in log.read_text().splitlines() if (match := _LINE.match(line)))
    most: dict[str, int] = {}
    for (_, call), times in found.items():
        most[call] = max(times, most.get(call, 0))
    return most


def fired(log: Path) -> bool:
    """Tell whether a call failed."""
    return "(INJECTED)" in log.read_text()


def numbers(last: int, most: int) -> list[int]:
    """Return which calls fail, of so many: all, or of too many `most`, evenly spread. 0: always all."""
    if not most or last <= most:
        return list(range(1, last + 1))
    return sorted({1 + round(place * (last - 1) / (most - 1)) for place in range(most)})
