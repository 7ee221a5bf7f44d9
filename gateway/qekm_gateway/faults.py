"""Name what goes wrong at the gateway: what the client is told, what the trail reads, what the log keeps."""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from qekm.dkp.codes import Code, Fault

_log = logging.getLogger(__name__)


class Ending(NamedTuple):
    """Why a session ended without an answer, for the audit trail: the number, and one line for people."""

    code: Code
    message: str


TIMED_OUT = Ending(Code.EE0E, "no complete frame came in time")
STALLED = Ending(Code.EE0E, "the client does not read its answers")
LOST = Ending(Code.EE0E, "the client closed the connection")
CROWDED_OUT = Ending(Code.EE0E, "closed to make room for other connections")
STOPPING = Ending(Code.EE0E, "the gateway is stopping")
MOVED = Ending(Code.EE0E, "drives are taken on another port now")
LATE = Ending(Code.EE0E, "the answer came when the client had gone or been refused")
BROKEN = Ending(Code.EE0F, "internal error")


def internal() -> Fault:
    """Return what a client is told of anything internal: EE0F, without details."""
    return Fault(Code.EE0F)


def first_byte(tls_required: bool) -> Fault:
    """Return what a client is told whose first byte is no beginning of what is spoken here."""
    return Fault(Code.EE23, "TLS is required here" if tls_required else "a frame begins with QEKM")


class Incidents:
    """Log what nobody foresaw: a number, the kind of exception and where it was raised.

    Never its text: that may quote what a client sent. At most `limit` a minute are written, so that who
    finds a way to cause them does not fill the disk.
    """

    def __init__(self, limit: int = 10, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._minute = 0
        self._written = 0
        self.count = 0

    def record(self, error: BaseException) -> str:
        """Return the incident's number, under which the log has it."""
        number = secrets.token_hex(4)
        self.count += 1
        minute = int(self._now() / 60)
        if minute != self._minute:
            self._minute, self._written = minute, 0
        self._written += 1
        if self._written <= self._limit:
            places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            _log.error(
                "internal error, incident %s: %s at %s", number, type(error).__name__, " > ".join(places)
            )
        elif self._written == self._limit + 1:
            _log.error("more internal errors this minute are not written")
        return number
