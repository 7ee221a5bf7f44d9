"""Questions at the terminal; where there is none, the answers are the lines of standard input.

Scripts of the original's commands pipe the password in: a file or a descriptor is better, since it is read by
nobody but the command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from qekm.errors import BadArgument, PasswordNeeded
from qekm_cli.passwords import COMMAND_OPTIONS, MOST_BYTES, parse_password, type_unseen


def ask(question: str) -> str:
    """Return the answer to a question, without blanks around it; BadArgument if the input has ended."""
    try:
        answer = _typed(input, question) if _is_terminal() else _next_line(question).decode()
    except (EOFError, UnicodeDecodeError):
        raise BadArgument(f"there is no answer to: {question}", field="answer") from None
    return answer.strip()


def ask_password(question: str, *, may_be_empty: bool = False) -> str:
    """Return a password, which is not shown; PasswordNeeded if the input has ended, BadPassword."""
    try:
        content = _typed(type_unseen, question).encode() if _is_terminal() else _next_line(question)
    except EOFError:
        hint = f"give {' or '.join(COMMAND_OPTIONS)}"
        raise PasswordNeeded("no password was given: the input ended", hint=hint) from None
    if may_be_empty and not content.strip(b"\r\n"):
        return ""
    return parse_password(content)


def _is_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty())


def _typed(read: Callable[[str], str], question: str) -> str:
    """Return what a person types; what comes after Ctrl-C or the end of input begins a line of its own."""
    try:
        return read(f"{question}: ")
    except (EOFError, KeyboardInterrupt):
        print(flush=True)
        raise


def _next_line(question: str) -> bytes:
    """Return the next line of standard input, whole or as much as no answer has; EOFError."""
    print(f"{question}:", flush=True)
    line = sys.stdin.buffer.readline(MOST_BYTES) if sys.stdin else b""
    if not line:
        raise EOFError
    return line
