"""The drive table as a file: written after each change of the registry where config.drivetable.file.url says.

It is an export that nothing reads at run time. What keeps it from being written is told, and stops nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from pathlib import Path

from qekm.config import Settings
from qekm.drives import Registry
from qekm.errors import QekmError
from qekm.interchange.roster import COLUMNS, Entry, serialize
from qekm.model import Drive, DriveState, LabelMode
from qekm.rewriting import rewrite

_log = logging.getLogger(__name__)

URL = "config.drivetable.file.url"
HEAD = ",".join(COLUMNS[:2]).encode()  # with which every table of ours begins
RETRY_S = 60.0
_MOST = 1_000_000  # drives


class DriveTable:
    """Looks every second (`tick`) whether what is in the file is what is in the registry."""

    def __init__(self, home: Path, settings: Settings, registry: Registry) -> None:
        """Take where relative paths begin, the settings in force, and the drives."""
        self._home, self._settings, self._registry = home, settings, registry
        self._written: tuple[str, int] | None = None  # where to, and which version of the registry
        self._trouble, self._again_s = "", 0.0

    async def tick(self) -> None:
        """Write the file if the registry or the place has changed since it was written."""
        place, version = self._settings[URL], self._registry.version
        if not place:
            self._written, self._trouble = None, ""
        elif self._written != (place, version) or (self._trouble and time.monotonic() >= self._again_s):
            self._written = place, version
            await asyncio.to_thread(self._write, self._home / place, self._drives())
            self._again_s = time.monotonic() + RETRY_S

    def lines(self) -> list[str]:
        """Return what a status says of it."""
        return [f"the drive table is not written: {self._trouble}"] if self._trouble else []

    def _drives(self) -> list[Drive]:
        return self._registry.page("", _MOST, DriveState.ACCEPTED)

    def _write(self, path: Path, drives: list[Drive]) -> None:
        """Write the drives; in a thread."""
        try:
            content = serialize(map(_entry, drives)).encode()
            if _present(path, len(content) + 1) != content:
                rewrite(path, content)
            trouble = ""
        except (QekmError, OSError) as error:
            trouble = str(error)
        if trouble and trouble != self._trouble:
            _log.warning("the drive table is not written: %s", trouble)
        self._trouble = trouble


def _present(path: Path, most: int) -> bytes:
    """Return what begins the table that is there, empty if there is none; OSError for what is none of ours.

    Whoever else may write in its directory is not trusted: nothing there is waited for, followed or long.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return b""
    try:
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        content = os.read(handle, most) if is_file else b""
    finally:
        os.close(handle)
    if not is_file or (content and not content.startswith(HEAD)):
        raise OSError(f"{path} is there already, and no drive table of ours")
    return content


def _entry(drive: Drive) -> Entry:
    return Entry(
        0,
        drive.serial,
        drive.wwnn,
        drive.vendor,
        drive.product,
        drive.group,
        drive.alias,
        drive.firmware,
        drive.allowed_groups,
        drive.confirm,
        "t10" if drive.label_mode is LabelMode.T10 else "full",
    )
