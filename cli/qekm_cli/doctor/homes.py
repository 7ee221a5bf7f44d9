"""The home's own steps: `qekm-server doctor`, which alone knows a store, does them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from qekm.doctor.finding import Finding, Seen, broken, unseen
from qekm.doctor.steps import HOME_STEPS
from qekm.errors import NotInitialised
from qekm.home import Home
from qekm_cli.processes import program

PATIENCE_S = 100.0  # all deadlines of its steps together


def examine(home: Home) -> list[Finding]:
    """Return how the steps of a home ended."""
    try:
        words = [program("qekm-server"), "doctor", "--json", "--home", str(home.path)]
        code, output, errors = run_program(words, PATIENCE_S)
    except NotInitialised as error:
        return [_all(broken(error.message, error.advice))]
    except OSError as error:
        what = f"{error.filename or 'qekm-server'} cannot be started: {error.strerror}"
        return [_all(broken(what, "install the whole package again, for all users"))]
    except subprocess.TimeoutExpired:
        return [
            _all(broken(f"qekm-server doctor did not end within {PATIENCE_S:.0f} s", "look at dmesg, mount"))
        ]
    try:
        return [Finding.parse(each) for each in json.loads(output)["findings"]]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["and said nothing"]
        return [
            _all(
                broken(f"qekm-server doctor ended with {code}: {last[0]}", "install the whole package again")
            )
        ]


def run_program(words: Sequence[str], seconds: float) -> tuple[int, str, str]:
    """Run a program to its end; one that hangs is killed, and not waited for if it cannot be."""
    with_pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    child = subprocess.Popen(words, text=True, **with_pipes)  # type: ignore[call-overload]  # noqa: S603
    try:
        output, errors = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    return child.returncode, output, errors


def elsewhere() -> list[Finding]:
    """Return that nothing of this machine is looked at, because nothing of a key manager is here."""
    return [_all(unseen("there is no home here: only the way to the service is looked at"))]


def _all(seen: Seen) -> Finding:
    """Return a finding for the home as a whole."""
    return Finding.of(next(step for step in HOME_STEPS if step.name == "home"), [seen])
