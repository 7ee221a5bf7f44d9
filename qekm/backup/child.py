"""The other process that proves a backup: started with a secret on a pipe, heard until it has said all.

It writes a JSON object a line: {"step", "done", "total"} while it works, at last {"proved"} or {"error"}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qekm import errors
from qekm.backup.aside import Tell
from qekm.backup.proving import Proved
from qekm.backup.target import end
from qekm.errors import BackupFailed, QekmError

STALL_S = 300.0  # without a word; a migration of a million keys takes two minutes
COMMAND = "backup-prove"

Hand = Callable[[int], None]  # writes a secret into the pipe of a descriptor
_LEAVES = {
    leaf.reason(): leaf for category in QekmError.__subclasses__() for leaf in category.__subclasses__()
}


async def prove_elsewhere(
    home: Path, path: Path, scratch: Path, hand: Hand, tell: Tell, words: Sequence[str] = ()
) -> Proved:
    """Have another process prove a backup in an empty directory; it ends with this one, or when cancelled.

    hand: gives it what opens the backup. BackupDamaged, BackupFailed, and what the secret raises there.
    """
    command = [sys.executable, "-m", "qekm.server", COMMAND, str(path), "--scratch", str(scratch), *words]
    reader, writer = os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            "--home",
            str(home),
            stdin=reader,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    try:
        _give(hand, writer)
        return await _hear(child, path, tell)
    finally:
        await end(child)


def _give(hand: Hand, writer: int) -> None:
    """Hand the secret over: a pipe holds all of it; a child that has ended already tells why itself."""
    try:
        hand(writer)
    except BrokenPipeError:
        return
    finally:
        os.close(writer)


async def _hear(child: asyncio.subprocess.Process, path: Path, tell: Tell) -> Proved:
    """Return what the child proved, or raise what it tells."""
    assert child.stdout is not None
    try:
        while line := await asyncio.wait_for(child.stdout.readline(), STALL_S):
            said = json.loads(line)
            if "proved" in said:
                return Proved.of(said["proved"])
            if "error" in said:
                raise _error(said)
            tell(said["step"], said["done"], said["total"])
    except TimeoutError:
        raise BackupFailed(f"the proof said nothing for {STALL_S:.0f} s", backup=path.name) from None
    except (ValueError, TypeError, KeyError):
        raise BackupFailed("the proof said what makes no sense", backup=path.name) from None
    code = await child.wait()
    told = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
    raise BackupFailed(f"the process that proves the backup {told}", backup=path.name)


def _error(said: dict[str, Any]) -> QekmError:
    """Return the error that the child told."""
    leaf = _LEAVES.get(said["error"], errors.BackupFailed)
    details = {str(name): str(value) for name, value in said["details"].items()}
    return leaf(said["message"], hint=said["hint"], **details)


def told_error(error: QekmError) -> dict[str, Any]:
    """Return an error as the child tells it."""
    said = {"error": error.reason(), "message": error.message, "hint": error.advice}
    return {**said, "details": error.details}
