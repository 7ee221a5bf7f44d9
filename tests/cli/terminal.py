"""A program on a terminal of its own, on which a person types what it asks for."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Mapping, Sequence

FAKE = """
import sys
from tests.cli.fake_service import FakeService
from qekm_cli.app import run, say
from qekm_cli.connection import Invocation
service = FakeService()
{before}
ending = run(sys.argv[1:], Invocation(connect=service.connect))
say(ending)
{after}
sys.exit(ending.code)
"""


def typed(
    program: Sequence[str],
    lines: Sequence[str],
    environ: Mapping[str, str] | None = None,
    *,
    only: bool = False,
) -> tuple[int, str]:
    """Run a program, answer each prompt (it ends with a colon) with a line; return exit code and screen.

    environ: added to the environment, or, if there is to be nothing else, only that.
    """
    child, terminal = pty.fork()
    if child == 0:
        base = {} if only else dict(os.environ)
        os.execve(program[0], list(program), {**base, "TERM": "dumb", **(environ or {})})
    screen = b""
    for line in lines:
        while not screen.rstrip(b" ").endswith(b":"):
            try:
                screen += os.read(terminal, 4_000)
            except OSError:
                break
        os.write(terminal, line.encode() + b"\n")
        screen += b"|"
    try:
        while part := os.read(terminal, 4_000):
            screen += part
    except OSError:
        pass
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen.decode(errors="replace").replace("\r\n", "\n")


def typed_to_qekm(
    words: Sequence[str], lines: Sequence[str], before: str = "", after: str = ""
) -> tuple[int, str]:
    """Run `qekm` on a terminal against a fake service; before, after: what else is run, with `service`."""
    code = FAKE.format(before=before, after=after)
    return typed([sys.executable, "-c", code, *words], lines)
