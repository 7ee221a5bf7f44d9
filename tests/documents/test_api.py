"""The page of the API is what the contract says, and each of its examples runs against a real service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import api_page
from tests.pages import ROOT
from tests.system.processes import Estate, environment, made

EXAMPLES = ROOT / "docs" / "examples"
PROTO = ROOT / "proto"


def test_the_page_is_what_the_contract_says() -> None:
    assert api_page.PAGE.read_text(encoding="utf-8") == api_page.page(), "python -m tests.api_page"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Return a key manager whose service runs."""
    with made(tmp_path_factory.mktemp("api") / "home") as each:
        yield each.start(gateway=False)


def run(estate: Estate, command: Sequence[str | Path], cwd: Path) -> str:
    """Run an example against the service and return what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    target = f"localhost:{estate.ports['grpc']}"
    environ = environment(QEKM_HOME=str(estate.home.path), QEKM_TARGET=target, PATH=path)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_example_runs(estate: Estate, tmp_path: Path) -> None:
    assert "1 server.start" in run(estate, [sys.executable, EXAMPLES / "activity.py"], tmp_path)


def test_the_example_for_a_shell_runs(estate: Estate, tmp_path: Path) -> None:
    told = run(estate, ["sh", EXAMPLES / "activity.sh", PROTO], tmp_path)
    assert '"event": "server.start"' in told or '"event":"server.start"' in told


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_node_example_runs(estate: Estate, tmp_path: Path) -> None:
    for name in ("package.json", "activity.mjs"):
        shutil.copy(EXAMPLES / name, tmp_path)
    run(estate, ["npm", "install", "--no-audit", "--no-fund", "--silent"], tmp_path)
    assert "1 server.start" in run(estate, ["node", "activity.mjs", PROTO], tmp_path)
