"""An SMTP client that no answer without an end keeps, nor a slow one: smtplib has a limit for neither."""

from __future__ import annotations

import smtplib
from typing import Any, BinaryIO

from qekm.deadline import Deadline

MOST_LINES, MOST_BYTES = 100, 65_536  # of one answer


class Client(smtplib.SMTP):
    """One whose answers are bounded, and whose line a deadline watches from the first of them on."""

    def __init__(self, deadline: Deadline, *arguments: Any, **more: Any) -> None:
        """arguments, more: smtplib's."""
        self._deadline = deadline
        super().__init__(*arguments, **more)

    def getreply(self) -> tuple[int, bytes]:
        """Return code and text of an answer; SMTPServerDisconnected where it is too long."""
        if self.file is None and self.sock is not None:  # at the beginning, and of TLS
            self._deadline.watch(self.sock)
            self.file = _Answers(self.sock.makefile("rb"))
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class TlsClient(Client, smtplib.SMTP_SSL):
    """One that speaks TLS from the beginning; the handshake's time is bounded by the timeout."""


class _Answers:
    """What smtplib reads lines from."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._lines, self._bytes = file, 0, 0

    def begin(self) -> None:
        """Count anew."""
        self._lines = self._bytes = 0

    def readline(self, size: int) -> bytes:
        """Return the next line; OSError beyond what an answer may have."""
        line = self._file.readline(size)
        self._lines, self._bytes = self._lines + 1, self._bytes + len(line)
        if self._lines > MOST_LINES or self._bytes > MOST_BYTES:
            raise OSError(f"an answer of more than {MOST_LINES} lines or {MOST_BYTES:,} bytes")
        return line

    def close(self) -> None:
        """Close it."""
        self._file.close()
