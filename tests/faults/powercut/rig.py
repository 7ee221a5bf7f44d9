"""A mounted disk whose power can be cut, for any workload that a test runs on it.

    with VolatileDisk(tmp_path) as disk:
        ...                      # the workload works under disk.mount, and tells what it was promised
        disk.cut()               # everything that was not flushed is gone
        ...                      # end the workload; then look under disk.after at what is left

Needs root, nbdkit with its python plugin, nbdfuse, mkfs.ext4, loop devices and FUSE; UnavailableError says
what is missing. A workload must not close its files before the cut: closing a database syncs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TOOLS = ("nbdkit", "nbdfuse", "mkfs.ext4", "losetup", "mount", "umount")
MEGABYTE = 1024 * 1024
_PLUGIN = Path(__file__).with_name("volume.py")
_PATIENCE_S = 60.0  # a disk that cannot be ends at once


class UnavailableError(Exception):
    """This machine cannot have a volatile disk; the text says why."""


class VolatileDisk:
    """An ext4 file system on a disk that keeps unflushed writes in RAM only."""

    def __init__(self, directory: Path, size: int = 64 * MEGABYTE, *, taped: bool = False) -> None:
        """Put the disk together in a directory; taped: `tape` takes everything that is written (tape.py)."""
        self.tape = directory / "tape" if taped else None
        self.mount = directory / "disk"
        self.after = directory / "after"  # mounted by cut()
        self._image = directory / "durable.img"
        self._fault = directory / "fault"
        self._fuse = directory / "fuse"
        self._socket = directory / "nbd.sock"
        self._log = directory / "disk.log"
        self.size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = ""

    def __enter__(self) -> VolatileDisk:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def fault(self, name: str) -> None:
        """Have the disk fail from now on: write-error, flush-error, flush-lie; empty: no more."""
        self._fault.write_text(name)

    def cut(self) -> None:
        """Cut the power, then mount what had been flushed under `after`."""
        self._kill()
        self._unmount()
        copy = self._image.with_suffix(".after")
        shutil.copyfile(self._image, copy)
        run("mount", "-o", "loop", str(copy), str(self.after))

    def stop(self) -> None:
        """Unplug the disk, whatever is under way; what is on its tape stays."""
        self._stop()

    def _start(self) -> None:
        _require()
        for directory in (self.mount, self.after, self._fuse):
            directory.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(self.size)
        device = self._fuse / "disk"
        device.touch()
        ready = self._socket.with_suffix(".pid")  # written when nbdkit listens; the socket exists before
        self._spawn(
            "nbdkit",
            "--foreground",
            "--pidfile",
            str(ready),
            "--unix",
            str(self._socket),
            "python",
            str(_PLUGIN),
        )
        self._wait_until(ready.exists)
        self._spawn("nbdfuse", str(device), "--unix", str(self._socket))
        self._wait_until(lambda: device.stat().st_size == self.size)
        run("mkfs.ext4", "-q", "-F", str(device))
        self._loop = run("losetup", "--find", "--show", str(device)).strip()
        run("mount", self._loop, str(self.mount))

    def _spawn(self, *command: str) -> None:
        environ = os.environ | {"QEKM_VOLUME_IMAGE": str(self._image), "QEKM_VOLUME_FAULT": str(self._fault)}
        environ |= {"QEKM_VOLUME_TAPE": str(self.tape)} if self.tape else {}
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )
        self._processes.append(process)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > deadline or self._processes[-1].poll() is not None:
                raise UnavailableError(f"the disk does not start: {self._log.read_text()[-500:]}")
            time.sleep(0.02)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def _unmount(self) -> None:
        """Forget the dead disk. Lazily: a workload may still have files open on it."""
        with suppress(UnavailableError):
            run("umount", "--lazy", str(self.mount))
        if self._loop:
            with suppress(UnavailableError):
                run("losetup", "--detach", self._loop)
            self._loop = ""
        with suppress(UnavailableError):
            run("umount", "--lazy", str(self._fuse / "disk"))

    def _stop(self) -> None:
        self._kill()
        self._unmount()
        with suppress(UnavailableError):
            run("umount", "--lazy", str(self.after))


def _require() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_search_path()) is None]
    if missing:
        raise UnavailableError("not installed: " + ", ".join(missing))
    if os.geteuid() != 0:
        raise UnavailableError("mounting needs root")


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(*command: str) -> str:
    """Run a command of the system and return what it says; UnavailableError."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": _search_path()}
    )
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
