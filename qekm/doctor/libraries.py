"""Whether Python and the libraries are as new as they must be."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

from qekm.doctor.finding import Seen, broken, fine

PYTHON = (3, 11)
SQLITE = (3, 35, 0)  # RETURNING and DROP COLUMN, which migrations may use; Debian 11 has 3.34
_FLOOR = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?[^;]*>=\s*([0-9][0-9.]*)")
_REPAIR = "install the whole package again, with the libraries that it names"


def look() -> Iterator[Seen]:
    """Yield what is too old here, or missing."""
    yield from judge(metadata.requires("qekm") or [], _installed)
    if sys.version_info[:2] < PYTHON:
        yield broken(f"Python is {sys.version_info[0]}.{sys.version_info[1]}, older than 3.11", _REPAIR)
    if sqlite3.sqlite_version_info < SQLITE:
        yield broken(f"SQLite is {sqlite3.sqlite_version}, older than 3.35.0", _REPAIR)


def judge(requirements: Iterable[str], installed: Callable[[str], str]) -> Iterator[Seen]:
    """Yield the libraries that are older than their floors; those of extras are not looked at. Pure.

    installed: the version of a library, empty if there is none.
    """
    wrong, seen = False, 0
    for requirement in requirements:
        found = _FLOOR.match(requirement)
        if found is None or ";" in requirement:
            continue
        seen += 1
        name, floor = found[1], found[2]
        version = installed(name)
        if not version:
            yield broken(f"the library {name} is missing", _REPAIR)
        elif _numbers(version) < _numbers(floor):
            yield broken(f"the library {name} is {version}, older than {floor}", _REPAIR)
        else:
            continue
        wrong = True
    if not wrong:
        yield fine(f"{seen} libraries, SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """Return a version's numbers; what follows them, as rc1, counts for nothing."""
    return tuple(int(part) for part in re.match(r"[0-9.]*", version)[0].split(".") if part)  # type: ignore[index]
