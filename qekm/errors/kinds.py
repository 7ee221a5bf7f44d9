"""The root of the error tree, its categories, and how a program ends with each. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class QekmError(Exception):
    """Root of the tree: a message names what is wrong, a hint says what to do, details are for programs."""

    hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = self.hint if hint is None else hint
        self.details = details

    @classmethod
    def reason(cls) -> str:
        """Return the leaf's name for programs, UPPER_SNAKE, as in google.rpc.ErrorInfo.reason."""
        return _WORD.sub("_", cls.__name__).upper()


# Categories: never raised themselves.
class InvalidError(QekmError):
    """What was asked is not well formed; asking again will not help."""


class NotFoundError(QekmError):
    """What was named does not exist, or not for this caller."""


class ExistsError(QekmError):
    """What was to be made is there already."""


class StateError(QekmError):
    """The request is well formed but does not fit the present state."""


class DeniedError(QekmError):
    """The caller is known and may not."""


class IdentityError(QekmError):
    """The caller is not known."""


class ExhaustedError(QekmError):
    """A limit is reached; waiting or an administrator helps."""


class UnavailableError(QekmError):
    """The service cannot answer now; trying again may help."""


class FaultError(QekmError):
    """Something broke that the caller cannot mend."""


# How a program of ours ends. 0: done. 1: an exception that no table knows. 2 is also what a command
# line that cannot be parsed gives. 5: a check ran to its end and what it checked is not well (the
# audit trail is broken, a diagnosis failed, a process is down), so that a script can tell a bad
# verdict from a check that could not be made.
EXIT_VERDICT = 5
EXIT_CODES: Mapping[type[QekmError], int] = MappingProxyType(
    {
        InvalidError: 2,
        NotFoundError: 3,
        ExistsError: 4,
        StateError: 6,
        DeniedError: 7,
        IdentityError: 8,
        ExhaustedError: 9,
        UnavailableError: 10,
        FaultError: 11,
    }
)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error: that of its category, 1 for what is not of this tree."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)
