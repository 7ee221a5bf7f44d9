"""The package, made once for a run, and the tree of a machine to install it on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm import __version__
from tests.packages.machine import Machine, UnavailableError, booted, bootstrap
from tests.pages import ROOT

EARLIER = f"{__version__}~before"  # that an upgrade comes from: the same program with another number


def build(output: Path, *words: str) -> Path:
    """Return the package that is made with these words."""
    command = [sys.executable, "-m", "deploy.debian.build", "--output", str(output), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return Path(done.stdout.split()[-1])


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where program and libraries are, for whoever makes a package."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    return tmp_path_factory.mktemp("package") / "bundle"


@pytest.fixture(scope="session")
def package(bundle: Path) -> Path:
    """Return the package of this version."""
    return build(bundle.parent, "--bundle", str(bundle))


@pytest.fixture(scope="session")
def earlier(bundle: Path, package: Path) -> Path:
    """Return a package with an earlier number."""
    return build(bundle.parent, "--bundle", str(bundle), "--version", EARLIER)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tree of a fresh Debian; skips where none can be made."""
    directory = tmp_path_factory.mktemp("debian") / "base"
    try:
        bootstrap(directory)
    except UnavailableError as error:
        pytest.skip(f"no fresh Debian here: {error}")
    return directory


@pytest.fixture(scope="module")
def machine(base: Path, package: Path, earlier: Path) -> Iterator[Machine]:
    """Return a booted machine with the packages in /srv, none of them installed."""
    tree = base.with_name("machine")
    subprocess.run(["cp", "--archive", str(base), str(tree)], check=True)
    shutil.copy(package, tree / "srv" / "qekm.deb")
    shutil.copy(earlier, tree / "srv" / "earlier.deb")
    try:
        with booted(tree) as found:
            yield found
    except UnavailableError as error:
        pytest.skip(f"no machine can be booted here: {error}")
    finally:
        shutil.rmtree(tree, ignore_errors=True)
