"""An end to a conversation, however slowly the other side goes on: a timeout is for each read alone."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress
from typing import Self


class Deadline:
    """From entering it so many seconds; then the line it watches is shut down, and its readers hear an end.

    passed: whether that has happened.
    """

    def __init__(self, limit_s: float) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self.passed = False
        self._timer = threading.Timer(limit_s, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Begin; OSError if there is no thread for it."""
        try:
            self._timer.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def watch(self, line: socket.socket) -> None:
        """Shut this one down when the time has come, or now if it has."""
        with self._lock:
            self._let_go()
            # One of its own: TLS takes a socket's descriptor away from it, and TLS itself is shut down by
            # nobody but its reader.
            self._line = socket.socket(fileno=os.dup(line.fileno()))
            if self.passed:
                self._shut()

    def close(self) -> None:
        """Watch no more, although the conversation may go on."""
        self._timer.cancel()
        with self._lock:
            self._let_go()

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            self._shut()

    def _shut(self) -> None:
        if self._line is not None:
            with suppress(OSError):  # the other side was faster
                self._line.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
