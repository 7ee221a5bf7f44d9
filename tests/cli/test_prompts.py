"""Questions whose answers come from a pipe; those at a terminal are in the transcripts."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import sys
from qekm.errors import QekmError
from qekm_cli.prompts import ask, ask_password
try:
    print([ask_password("Password", may_be_empty="empty" in sys.argv), ask("Answer")])
except QekmError as error:
    print(error.reason(), error.message)
"""


def asked(content: bytes, *words: str) -> list[str]:
    """Return what is printed for a content of the pipe."""
    command = [sys.executable, "-c", ASK, *words]
    done = subprocess.run(command, input=content, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def test_each_question_takes_one_line_and_is_shown_before_it_is_read() -> None:
    assert asked(b"correct horse\n  yes \nmore\n") == ["Password:", "Answer:", "['correct horse', 'yes']"]
    assert asked(b"correct horse\r\nyes") == ["Password:", "Answer:", "['correct horse', 'yes']"]
    assert asked(b"\nyes\n", "empty") == ["Password:", "Answer:", "['', 'yes']"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "PASSWORD_NEEDED no password was given: the input ended"),
        (b"short\n", "BAD_PASSWORD a password has 8 to 1,024 characters"),
        (b"\n", "BAD_PASSWORD a password has 8 to 1,024 characters"),
        (b"x" * 100_000, "BAD_PASSWORD a password has 8 to 1,024 characters"),
        (b"\xff" * 10 + b"\n", "BAD_PASSWORD the password is not UTF-8 text"),
        (b"correct horse\n", "BAD_ARGUMENT there is no answer to: Answer"),
        (b"correct horse\n\xff\n", "BAD_ARGUMENT there is no answer to: Answer"),
    ],
)
def test_what_can_be_no_answer_is_named(content: bytes, told: str) -> None:
    assert asked(content)[-1] == told
