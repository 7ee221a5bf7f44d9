"""Disks whose power can be cut, system calls that fail, where the machine can have them; and the report."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.faults import scene
from tests.faults.acts import lay, make_homes, prepare
from tests.faults.flipping import MEMORY
from tests.faults.powercut.rig import UnavailableError, VolatileDisk
from tests.faults.report import (  # noqa: F401  hooks and a fixture
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    report,
)
from tests.system.processes import Process

Process.forked = True  # there are hundreds of starts here


@pytest.fixture
def make_disk(tmp_path: Path) -> Callable[[], VolatileDisk]:
    """Return a maker of volatile disks, for `with make_disk() as disk`; skips where none can be."""
    numbers = count()
    try:
        with VolatileDisk(tmp_path / "probe"):
            pass
    except UnavailableError as error:
        pytest.skip(f"no volatile disk here: {error}")
    return lambda: VolatileDisk(tmp_path / f"disk{next(numbers)}")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory, for what is made and thrown away all the time; on disk if there is none."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="qekm-faults-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key manager in `home`, its backups, and its store of an earlier time."""
    folder = tmp_path_factory.mktemp("template")
    make_homes(folder)
    lay("backup", folder, folder)
    process = scene.start(scene.perform, prepare, folder / "home", folder / "notes", 0, 1)
    process.join(120)
    assert process.exitcode == 0, (folder / "notes.out").read_text()
    return folder


@pytest.fixture(scope="session")
def strace() -> str:
    """Return the path of a strace that works here; skips where none does."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    done = subprocess.run(
        [found, "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"strace cannot trace here: {done.stderr}")
    return found
