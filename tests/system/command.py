"""`qekm` as an operator types it, on a home of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from qekm.home import Home
from tests.system.processes import environment

QEKM = [sys.executable, "-c", "from qekm_cli.app import main; raise SystemExit(main())"]


def run_qekm(home: Home, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    return subprocess.run(
        [*QEKM, *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=environment(QEKM_HOME=str(home.path)),
    )


def ask_qekm(home: Home, *words: str, timeout_s: float = 60.0) -> Any:
    """Run a command that must succeed and return the document that it prints."""
    done = run_qekm(home, *words, "--json", timeout_s=timeout_s)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
