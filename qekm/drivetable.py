"""The drive table as a file: written after each change of the registry where config.drivetable.file.url says.

It is an export that nothing reads at run time. What keeps it from being written is told, and stops nothing: a
disk of another machine may never answer, so each write has a thread that nobody waits for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from qekm.configuration.rewriting import rewrite
from qekm.configuration.settings import Settings
from qekm.drives import Registry
from qekm.errors import QekmError
from qekm.interchange.roster import COLUMNS, Entry, serialize
from qekm.model import Drive, DriveState, LabelMode

_log = logging.getLogger(__name__)

URL = "config.drivetable.file.url"
HEAD = ",".join(COLUMNS[:2]).encode()  # with which every table of ours begins
RETRY_S = 60.0
LATE_S = 5.0  # after which a write that has not ended is told of
PATIENCE_S = 2.0  # with the last write, when the service stops
_MOST = 1_000_000  # drives


class DriveTable:
    """Looks every second (`tick`) whether what is in the file is what is in the registry."""

    def __init__(self, home: Path, settings: Settings, registry: Registry) -> None:
        """Take where relative paths begin, the settings in force, and the drives."""
        self._home, self._settings, self._registry = home, settings, registry
        self.write: Callable[[Path, bytes], None] = put  # called in a thread; it may never return
        self._written: tuple[str, int] | None = None  # where to, and which version of the registry
        self._trouble, self._again_s, self._since_s = "", 0.0, 0.0
        self._idle = asyncio.Event()  # no write is under way
        self._idle.set()

    async def tick(self) -> None:
        """Begin to write the file if the registry or the place has changed since, one write at a time."""
        place, version = self._settings[URL], self._registry.version
        if not place:
            self._written, self._trouble = None, ""
        elif not self._idle.is_set():
            if time.monotonic() - self._since_s >= LATE_S:
                self._tell(f"its disk has not answered for more than {LATE_S:g} s")
        elif self._written != (place, version) or (self._trouble and time.monotonic() >= self._again_s):
            self._begin(self._home / place)
            self._written = place, version

    async def settle(self) -> None:
        """Wait until no write is under way."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write what has changed since, unless that takes longer than PATIENCE_S."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.settle()
                await self.tick()
                await self.settle()
        except TimeoutError:
            _log.warning("the drive table may be an old one: its disk does not answer")

    def lines(self) -> list[str]:
        """Return what a status says of it."""
        return [f"the drive table is not written: {self._trouble}"] if self._trouble else []

    def _begin(self, path: Path) -> None:
        """Write the drives, in a thread of its own: the end of the process waits for those of a pool."""
        loop, drives = asyncio.get_running_loop(), self._registry.page("", _MOST, DriveState.ACCEPTED)

        def run() -> None:
            trouble = self._try(path, drives)
            with suppress(RuntimeError):  # the loop is closed: the service has stopped meanwhile
                loop.call_soon_threadsafe(self._end, trouble)

        threading.Thread(target=run, name="qekm-drive-table", daemon=True).start()
        self._idle.clear()
        self._since_s = time.monotonic()

    def _try(self, path: Path, drives: list[Drive]) -> str:
        """Write the drives; return what keeps them from being written, nothing if they are. In the thread."""
        try:
            self.write(path, serialize(map(_entry, drives)).encode())
        except (QekmError, OSError) as error:
            return str(error)
        except Exception:
            _log.exception("a defect kept the drive table from being written")
            return "internal error"
        return ""

    def _end(self, trouble: str) -> None:
        self._tell(trouble)
        self._again_s = time.monotonic() + RETRY_S
        self._idle.set()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("the drive table is not written: %s", trouble)
        self._trouble = trouble


def put(path: Path, content: bytes) -> None:
    """Put a table into a file, unless it is there already; FileFailed, OSError."""
    if _present(path, len(content) + 1) != content:
        rewrite(path, content)


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
