"""Where backups go: a directory, and perhaps a command that copies them away. From the configuration only."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.errors import BackupFailed, NoBackupTarget

_ENDS_S = 3.0  # for a process that was killed to be gone
_SAID = 500  # bytes of what a command says last that are told

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})  # a power cut takes what is there


@dataclass(frozen=True, slots=True)
class Target:
    """A directory for backups.

    same_disk: backups on the store's own file system count, too. command: words; the file's path is added.
    """

    directory: Path
    same_disk: bool = False
    command: tuple[str, ...] = ()
    timeout_s: float = 3_600.0

    @classmethod
    def of(cls, settings: Settings, home: Path) -> Target | None:
        """Return what the properties backup.* name; None if nothing. BadConfiguration is theirs to raise."""
        directory = settings["backup.target"]
        if not directory:
            return None
        command = tuple(shlex.split(settings["backup.command"]))
        same_disk, timeout_s = settings["backup.sameDisk"], settings["backup.commandTimeout"]
        return cls(home / directory, same_disk, command, timeout_s)

    def check(self) -> None:
        """Raise NoBackupTarget unless the directory is there; it is never made: it could be a mount point."""
        try:
            there = self.directory.is_dir()
        except OSError:
            there = False
        if not there:
            raise NoBackupTarget(f"the directory {self.directory} (backup.target) is not there")

    def is_elsewhere(self, store: Path) -> bool:
        """Tell whether the directory is on another file system than the store, not one in memory; OSError."""
        device = self.directory.stat().st_dev
        return device != store.stat().st_dev and _kind(device) not in _IN_MEMORY

    async def copy_away(self, path: Path) -> None:
        """Have the command copy a backup away; BackupFailed if it says no, or says nothing in time.

        It runs without a shell and with the service's rights; what it prints last is told when it fails.
        """
        name = self.command[0]
        try:
            child = await asyncio.create_subprocess_exec(
                *self.command,
                str(path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BackupFailed(f"backup.command {name} cannot be run: {error.strerror}") from None
        said = b""
        try:
            async with asyncio.timeout(self.timeout_s):
                assert child.stdout is not None
                while part := await child.stdout.read(_SAID):
                    said = (said + part)[-_SAID:]
                await child.wait()
        except TimeoutError:
            what = f"backup.command {name} did not end within {self.timeout_s:,.0f} s"
            raise BackupFailed(what, backup=path.name) from None
        finally:
            await end(child)
        if child.returncode:
            last = said.decode(errors="replace").strip()
            what = f"backup.command {name} ended with {child.returncode}"
            raise BackupFailed(f"{what}: {last}" if last else what, backup=path.name)


async def end(child: asyncio.subprocess.Process) -> None:
    """Kill a process of ours, and what it started in its session, unless it has ended; wait for its end.

    But not for ever: one that reads a disk that does not answer ends only when that does.
    """
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_S):
            await child.wait()


def _kind(device: int) -> str:
    """Return the type of a mounted file system as Linux tells it (proc(5)); empty if it does not."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    rows = (line.split(" - ", 1) for line in lines if " - " in line)
    return next((row[1].split(" ")[0] for row in rows if row[0].split(" ")[2] == wanted), "")
