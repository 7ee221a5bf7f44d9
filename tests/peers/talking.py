"""Two ends that talk over a wire: what a test of the wire looks at."""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType

from tests.peers.namespaces import Host

PORT = 7  # echo
SILENCE_S = 1.0  # after which nothing comes, on a wire that takes microseconds
PATIENCE_S = 30.0  # for what comes, from who may have to wait for a processor


class Echo:
    """Answers on a host what it is sent, and notes what came."""

    def __init__(self, host: Host) -> None:
        self.address = (host.address, PORT)
        self.heard = list[bytes]()
        with host.entered():
            self._socket = socket.create_server(self.address)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Echo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                talk, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(talk,), daemon=True).start()

    def _answer(self, talk: socket.socket) -> None:
        with talk:
            try:
                while word := talk.recv(4_096):
                    self.heard.append(word)
                    talk.sendall(word)
            except OSError:
                return


class Talk:
    """A connection to an Echo, or why there is none (`trouble`)."""

    def __init__(self, address: tuple[str, int], patience_s: float) -> None:
        self.trouble = ""
        self.sent = b""
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.create_connection(address, patience_s)
        except OSError as error:
            self.trouble = type(error).__name__

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def answered(self, patience_s: float = PATIENCE_S) -> bool:
        """Say a word and tell whether it came back; `sent` is the word, `trouble` why it did not."""
        self.sent = os.urandom(8).hex().encode()
        if self._socket is None:
            return False
        self._socket.settimeout(patience_s)
        try:
            self._socket.sendall(self.sent)
            came = b""
            while not came.endswith(self.sent):  # words before it may have been on their way
                came += self._received(self._socket)
            self.trouble = ""
        except OSError as error:
            self.trouble = type(error).__name__
        return not self.trouble

    @staticmethod
    def _received(talk: socket.socket) -> bytes:
        if received := talk.recv(4_096):
            return received
        raise ConnectionError("closed")


def opened(address: tuple[str, int], patience_s: float = PATIENCE_S) -> Talk:
    """Connect from the host that this thread is in; who expects no answer waits for SILENCE_S."""
    return Talk(address, patience_s)
