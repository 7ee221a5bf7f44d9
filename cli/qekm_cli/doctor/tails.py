"""The ends of files: of logs, and of what is small; a link is not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.doctor.openers import secret_files
from qekm.errors import QekmError
from qekm.home import Home

_MOST_BYTES = 8 << 20  # of a file, from its end
NO_TEXT = "this file is not text: it is left out\n"
Identity = tuple[int, int]
"""Which file it is, whatever its name: device and inode."""


def logs_of(home: Home, lines: int) -> Iterator[tuple[str, str]]:
    """Yield the last lines of each log by its name: none but those that are known to be logs."""
    places, secret = [home.stdout_log, home.stderr_log], [home.root_key]
    try:
        settings = Settings.load(home.config)
    except QekmError:
        pass  # doctor.json tells it
    else:
        secret += secret_files(home, settings)
        directory, name = (settings[f"Audit.handler.file.{each}"] for each in ("directory", "name"))
        places += [home.path / directory / name, home.path / settings["debug.output.file"]]
    private = {
        *_identities(secret),
        *_identities(_within(home.pki)),
        *_identities(_within(home.store_directory)),
    }
    for path in dict.fromkeys(places):
        for each in (path, path.with_name(f"{path.name}.1")):
            content = tail(each, private)
            if content is not None:
                yield each.name, last_lines(content, lines)


def last_lines(content: bytes, lines: int) -> str:
    """Return the last lines of a text; of what is none, perhaps a key, only that it is none. Pure."""
    if len(content) >= _MOST_BYTES:  # the first line has no beginning, perhaps within a character
        content = content.partition(b"\n")[2]
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return NO_TEXT
    if "\0" in text:
        return NO_TEXT
    return "".join(f"{line}\n" for line in text.splitlines()[-lines:]) if lines else ""


def _within(folder: Path) -> list[Path]:
    return [Path(at, name) for at, _, names in os.walk(folder) for name in names]


def _identities(paths: Iterable[Path]) -> Iterator[Identity]:
    for path in paths:
        with suppress(OSError, ValueError):
            status = path.stat()
            yield status.st_dev, status.st_ino


def tail(path: Path, private: Collection[Identity] = ()) -> bytes | None:
    """Return the end of a regular file, None if it cannot be read or is private; a link is not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in private:
            return None
        file.seek(max(status.st_size - _MOST_BYTES, 0))
        return file.read(_MOST_BYTES)
