"""TLS 1.3 on the drives' port, bytes in and bytes out: a session, and the certificate that it shows."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

_log = logging.getLogger(__name__)

FIRST_BYTE = 0x16  # ContentType handshake (RFC 8446, section 5.1); a frame begins with 51h
CHUNK = 16_384  # plaintext of one record


class Certificate:
    """The gateway's certificate and key, read again when a file was replaced."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._paths = (certificate, key)
        self._state: object = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; the last good one while the files do not fit together.

        Raises OSError (ssl.SSLError is one) if nothing usable was ever there.
        """
        state = self._look()
        if state != self._state or self._context is None:
            try:
                self._context = self._load()
            except OSError as error:
                if self._context is None:
                    raise
                _log.warning(
                    "the new TLS certificate cannot be used: %s", error.strerror or type(error).__name__
                )
            self._state = state
        return self._context

    def _look(self) -> object:
        try:
            return tuple(
                (found.st_ino, found.st_mtime_ns, found.st_size) for found in map(Path.stat, self._paths)
            )
        except OSError:
            return None

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # every session signs anew, and a client that never comes back costs nothing
        context.load_cert_chain(*self._paths)
        return context


class Tls:
    """One TLS session between what came from the wire and what goes to it."""

    __slots__ = ("_incoming", "_object", "_outgoing", "established")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False

    @property
    def pending(self) -> int:
        """Return how many bytes from the wire wait to be read."""
        return self._incoming.pending + self._object.pending()

    @property
    def agreed(self) -> str:
        """Return version and cipher, for people."""
        cipher = self._object.cipher()
        return f"{self._object.version()} {cipher[0] if cipher else ''}".rstrip()

    def feed(self, data: bytes) -> None:
        """Add bytes from the wire."""
        self._incoming.write(data)

    def read(self) -> bytes | None:
        """Return some plaintext; empty: more from the wire is needed; None: the client ended the session.

        Raises ssl.SSLError for bytes that are not TLS; `outgoing` then has the alert.
        """
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            return self._object.read(CHUNK) or None
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            return None

    def write(self, data: bytes) -> None:
        """Encrypt; `outgoing` then has the bytes for the wire."""
        self._object.write(data)

    def outgoing(self) -> bytes:
        """Return the bytes that go to the wire now."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say that nothing more comes; `outgoing` then has the alert."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, ValueError):
            return  # before the handshake, or before the client's own alert: what there is to say is said
