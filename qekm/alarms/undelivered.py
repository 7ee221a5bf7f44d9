"""That a message did not get through, and at which stage: what a courier waits after, and a test tells of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qekm.deadline import Deadline
from qekm.errors import QekmError


class Undelivered(OSError):
    """Not now; it is tried again. stage: connect, tls, login, send or answer."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason = stage, reason


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Have whatever the system says in the block name the stage; Undelivered."""
    try:
        yield
    except Undelivered:
        raise
    except QekmError as error:  # a file of ours
        raise Undelivered(name, error.message) from error
    except UnicodeError as error:  # it shows and carries what was to be encoded, which may be a secret
        raise Undelivered(name, type(error).__name__) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Undelivered(name, reason) from error


@contextmanager
def within(limit_s: float) -> Iterator[Deadline]:
    """Have the whole of a conversation end in so many seconds; Undelivered, at its stage by then."""
    deadline = Deadline(limit_s)
    try:
        with stage("connect"), deadline:
            yield deadline
    except Undelivered as error:
        if deadline.passed:
            raise Undelivered(error.stage, f"no end of it within {limit_s:g} s") from error
        raise
