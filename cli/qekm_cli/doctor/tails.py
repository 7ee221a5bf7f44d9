"""The ends of files: of logs, and of what is small; a link is not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.errors import QekmError
from qekm.home import Home

_MOST_BYTES = 8 << 20  # of a file, from its end


def logs_of(home: Home, lines: int) -> Iterator[tuple[str, str]]:
    """Yield the last lines of each log by its name: none but those that are known to be logs."""
    places = [home.stdout_log, home.stderr_log]
    try:
        settings = Settings.load(home.config)
    except QekmError:
        pass  # doctor.json tells it
    else:
        directory, name = (settings[f"Audit.handler.file.{each}"] for each in ("directory", "name"))
        places += [home.path / directory / name, home.path / settings["debug.output.file"]]
    for path in dict.fromkeys(places):
        for each in (path, path.with_name(f"{path.name}.1")):
            content = tail(each)
            if content is not None:
                last = content.decode(errors="replace").splitlines()[-lines:] if lines else []
                yield each.name, "".join(f"{line}\n" for line in last)


def tail(path: Path) -> bytes | None:
    """Return the end of a regular file, None if it cannot be read; a link is not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        file.seek(max(status.st_size - _MOST_BYTES, 0))
        return file.read(_MOST_BYTES)
