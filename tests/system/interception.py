"""Someone on the wire between a drive and its key manager, who sees every frame and may change any."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from qekm.dkp.frame import Reader

# A frame in; what is passed on instead, None to close both sides.
Change = Callable[[bytes], bytes | None]


def untouched(raw: bytes) -> bytes:
    """Pass a frame on as it is."""
    return raw


@dataclass
class Interceptor:
    """Frames of both directions pass through here, one at a time, and are kept."""

    port: int
    from_drive: Change = untouched
    from_server: Change = untouched
    seen: list[bytes] = field(default_factory=list)

    def serve(self, drive: socket.socket) -> None:
        """Connect on behalf of a drive and pass frames until either side closes."""
        with drive, socket.create_connection(("127.0.0.1", self.port), 5) as server:
            ways = (
                threading.Thread(target=self._pass, args=(drive, server, self.from_drive)),
                threading.Thread(target=self._pass, args=(server, drive, self.from_server)),
            )
            for way in ways:
                way.start()
            for way in ways:
                way.join()

    def _pass(self, source: socket.socket, target: socket.socket, change: Change) -> None:
        reader = Reader()
        try:
            while data := source.recv(65536):
                reader.feed(data)
                while (raw := reader.next_frame()) is not None:
                    self.seen.append(raw)
                    passed = change(raw)
                    if passed is None:
                        return
                    target.sendall(passed)
        except OSError:
            pass
        finally:
            for side in (source, target):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)


@contextmanager
def intercepting(
    port: int, *, from_drive: Change = untouched, from_server: Change = untouched
) -> Iterator[tuple[int, Interceptor]]:
    """Listen before a gateway's port; yields the port to connect to, and the interceptor."""
    interceptor = Interceptor(port, from_drive, from_server)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    drive, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=interceptor.serve, args=(drive,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], interceptor
        listener.shutdown(socket.SHUT_RDWR)
