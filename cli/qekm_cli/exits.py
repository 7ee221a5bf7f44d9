"""How `qekm` ends: any exception becomes two lines for people and one code for programs.

The codes of our own errors are qekm.errors.EXIT_CODES; here is what only a command line has besides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typer import Abort, Exit, TyperException

from qekm.errors import EXIT_VERDICT, QekmError, exit_code

USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports a program that Ctrl-C ended
BROKEN_PIPE = 141  # 128 + SIGPIPE, likewise
TRACEBACK = "QEKM_TRACEBACK"  # environment variable: let what is unforeseen through, for developers

# For the table in the documents and `qekm --help`; the test checks that it names every code there is.
MEANINGS = {
    0: "done",
    1: "something unforeseen, in this program",
    2: "an argument, a file or a setting cannot be used",
    3: "what was named does not exist",
    4: "what was to be made exists",
    EXIT_VERDICT: "a check ran and its verdict is bad: a part is down, the trail is broken, a test failed",
    6: "it does not fit the present state",
    7: "the role of the certificate may not do this",
    8: "the certificate is not accepted",
    9: "a limit is reached, or no key is left",
    10: "the service or the gateway does not answer",
    11: "something broke in the service",
    INTERRUPTED: "interrupted by Ctrl-C",
    BROKEN_PIPE: "the reader of the output went away",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What is said on standard error, and the exit code; without a message nothing is said."""

    code: int
    message: str = ""
    hint: str = ""


def _of_usage(error: Any) -> Ending:
    """Put an error of the argument parser into our form; commands and options say what would be right."""
    text = " ".join(error.format_message().rstrip(".").split()).removeprefix("Invalid value: ")
    context: Any = getattr(error, "ctx", None)
    parameter: Any = getattr(error, "param", None)
    if text.startswith("Missing") and parameter and parameter.help:
        text += f": {parameter.help}"
    hint = f"see: {context.command_path if context else 'qekm'} --help"
    if " command" in text and context:
        names = [name for name, command in context.command.commands.items() if not command.hidden]
        hint = f"one of {', '.join(names)}; {hint}"
    return Ending(USAGE, text[:1].lower() + text[1:], hint)


def _of_system(error: Any) -> Ending:
    """Name the file of an error of the operating system, if it has one."""
    name = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    return Ending(USAGE, f"{name}{error.strerror or error}")


def _of_anything(error: Any) -> Ending:
    """Say that this is our defect, and how a developer sees where."""
    hint = f"this is a defect; to see where, run again with {TRACEBACK}=1 in the environment"
    return Ending(1, f"unforeseen {type(error).__name__}: {error}", hint)


def _of_text(error: Any) -> Ending:
    """Name an argument whose bytes are not UTF-8: Python carries them as surrogates. Else our defect."""
    if error.reason != "surrogates not allowed":
        return _of_anything(error)
    return Ending(USAGE, f"{error.object!r:.80} is not text in UTF-8")


# The first kind that fits says how; the last one fits everything.
_ENDINGS: tuple[tuple[type[BaseException], Callable[[Any], Ending]], ...] = (
    (QekmError, lambda error: Ending(exit_code(error), error.message, error.advice)),
    (Exit, lambda error: Ending(error.exit_code)),
    (SystemExit, lambda error: Ending(error.code if isinstance(error.code, int) else 0)),
    (KeyboardInterrupt, lambda _: Ending(INTERRUPTED)),
    (Abort, lambda _: Ending(INTERRUPTED)),
    (EOFError, lambda _: Ending(INTERRUPTED)),
    (BrokenPipeError, lambda _: Ending(BROKEN_PIPE)),
    (TyperException, _of_usage),
    (OSError, _of_system),
    (UnicodeEncodeError, _of_text),
    (BaseException, _of_anything),
)


def ending_of(error: BaseException) -> Ending:
    """Return how the program ends after `error`; total, so that no traceback reaches an operator."""
    return next(ending(error) for kind, ending in _ENDINGS if isinstance(error, kind))
