"""How many connections came to a port and never made a call: refused in the handshake, or silent.

grpc tells nobody of a handshake that fails. It does ask for the certificates before each one, and the guard
sees from where every call comes, so the difference can be counted. One that is under way counts until then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

_MOST = 4_096  # connections that are told apart


class Handshakes:
    """Counts for one listener, wherever it listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun, self._spoken = 0, 0
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self) -> None:
        """Count a handshake; from grpc's threads."""
        with self._lock:
            self._begun += 1

    def speak(self, peer: str) -> None:
        """Note that a call came through a connection, told by its other end as grpc writes it."""
        if peer in self._known:
            self._known.move_to_end(peer)
            return
        self._spoken += 1
        self._known[peer] = None
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    @property
    def refused(self) -> int:
        """Return how many were refused or are silent."""
        return max(0, self._begun - self._spoken)
