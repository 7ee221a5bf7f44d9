"""The release before this one, built from the history, for a pair of which one server is upgraded first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm import __version__

ROOT = Path(__file__).parents[2]
_CONTRACTS = "proto/released"
_PACKAGE = (
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "CHANGELOG.md",
    "proto",
    "qekm",
    "gateway",
    "cli",
)
_BUILD_S = 300.0  # the package index may be slow


@dataclass(frozen=True, slots=True)
class Release:
    """A release's programs: what has `python -m` run them, and the names of the properties that they know."""

    environ: Mapping[str, str]
    properties: frozenset[str]

    def known(self, properties: Mapping[str, str]) -> dict[str, str]:
        """Return the properties that a server of it can be given."""
        return {name: value for name, value in properties.items() if name in self.properties}


class NoHistoryError(Exception):
    """This copy of the project does not know its former release."""


def former_version() -> str:
    """Return the number of the release before this one."""
    numbers = [_numbers(file.stem) for file in (ROOT / _CONTRACTS).glob("*.binpb")]
    return ".".join(map(str, max(each for each in numbers if each < _numbers(__version__))))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))


def install(version: str, folder: Path) -> Release:
    """Build a release into a folder; its libraries are those of this one. NoHistoryError."""
    image = f"{_CONTRACTS}/{version}.binpb"
    try:
        commit = _git("log", "--format=%H", "-1", "--", image).decode().strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistoryError(str(error)) from error
    if not commit or version not in _git("show", f"{commit}:qekm/__init__.py").decode():
        raise NoHistoryError(f"no commit of this history has made {image}")  # one that was cut off: the first
    archive = _git("archive", commit, "--", *_PACKAGE)
    source, programs = folder / "source", folder / "programs"
    source.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(programs)]
    done = subprocess.run([*pip, str(source)], capture_output=True, text=True, check=False, timeout=_BUILD_S)
    assert done.returncode == 0, done.stderr
    environ = {"PYTHONPATH": str(programs), "PYTHONSAFEPATH": "1"}
    listed = "from qekm.properties import PROPERTIES; print(*PROPERTIES.spellings())"
    told = subprocess.run(
        [sys.executable, "-c", listed], env=environ, capture_output=True, text=True, check=True
    )
    return Release(environ, frozenset(told.stdout.split()))


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout
