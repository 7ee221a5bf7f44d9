"""The process log of a packaged installation: its units write to the journal, not to native_std*.log."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

NAME = "journal.log"
_PATIENCE_S = 10.0
_MOST_LINES = 50_000
_MOST_BYTES = 8 << 20
_UNREADABLE = ("not seeing messages", "insufficient permissions")  # journalctl's own words, which ends with 0


@dataclass(frozen=True, slots=True)
class Journal:
    """What it has of our units; missing: why it is not there, and the command that an administrator adds."""

    text: str = ""
    missing: str = ""


def words_for(lines: int) -> list[str]:
    """Return the command that prints the last lines of both units."""
    units = ("-u", "qekm-server", "-u", "qekm-gateway")
    return ["journalctl", *units, "-n", str(min(lines, _MOST_LINES)), "--no-pager", "-o", "short-iso"]


def read_journal(lines: int, patience_s: float = _PATIENCE_S) -> Journal:
    """Ask the journal, for a bounded time; a machine without one has nothing missing."""
    words = words_for(lines)
    program = shutil.which(words[0])
    if program is None or not lines:
        return Journal()
    try:
        done = subprocess.run(  # noqa: S603 - no word of a stranger's
            [program, *words[1:]],
            capture_output=True,
            timeout=patience_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
    except OSError as error:
        return Journal(missing=_missing(f"cannot be asked: {error.strerror}", lines))
    except subprocess.TimeoutExpired:
        return Journal(missing=_missing(f"did not answer within {patience_s:.0f} s", lines))
    return judge(done.returncode, done.stdout, done.stderr.decode(errors="replace"), lines)


def judge(code: int, output: bytes, errors: str, lines: int) -> Journal:
    """Return what journalctl's answer means. Pure."""
    if any(each in errors for each in _UNREADABLE):
        return Journal(missing=_missing("may not be read by this user", lines))
    if code:
        return Journal(missing=_missing(f"cannot be read: journalctl ended with {code}", lines))
    found = output[-_MOST_BYTES:].decode(errors="replace").splitlines(keepends=True)
    return Journal("".join(line for line in found if not line.startswith("-- No entries --")))


def _missing(why: str, lines: int) -> str:
    return f"the systemd journal {why}; an administrator adds: {' '.join(words_for(lines))} > {NAME}"
