"""What one connection carries: the first byte decides between TLS and plain, then frames are cut out."""

from __future__ import annotations

import ssl

from qekm.dkp.frame import Reader
from qekm_gateway.faults import first_byte
from qekm_gateway.tls import FIRST_BYTE, Certificate, Tls

_MAGIC = 0x51  # Q


class WireClosed(Exception):
    """The client ended its TLS session."""


class WireBroken(Exception):
    """The bytes are not TLS; `Wire.outgoing` has the alert, and no frame can be sent."""


class Wire:
    """Bytes in, raw frames out, and answers the way back."""

    __slots__ = ("_agreed", "_begun", "_reader", "_tls")

    def __init__(self) -> None:
        self._reader = Reader()
        self._tls: Tls | None = None
        self._begun = self._agreed = False

    @property
    def pending(self) -> bool:
        """Tell whether bytes wait that were not parsed."""
        return bool(self._reader.pending or (self._tls is not None and self._tls.pending))

    @property
    def partial(self) -> bool:
        """Tell whether a frame, or the TLS handshake, has begun and is not complete."""
        return bool(self._reader.pending or (self._tls is not None and not self._tls.established))

    def feed(self, data: bytes, certificate: Certificate, tls_required: bool) -> None:
        """Add bytes from the wire; Fault EE23 if the very first begins nothing that is spoken here."""
        if not self._begun:
            self._begun = True
            if data[0] == FIRST_BYTE:
                self._tls = Tls(certificate.context())
            elif data[0] != _MAGIC or tls_required:
                raise first_byte(tls_required)
        (self._tls or self._reader).feed(data)

    def next_frame(self) -> bytes | None:
        """Return one raw frame, None until there is one; Fault EE23, WireClosed, WireBroken."""
        raw = self._reader.next_frame()
        while raw is None and self._tls is not None:
            try:
                plaintext = self._tls.read()
            except ssl.SSLError:
                raise WireBroken from None
            if plaintext is None:
                raise WireClosed
            if not plaintext:
                return None
            self._reader.feed(plaintext)
            raw = self._reader.next_frame()
        return raw

    def seal(self, data: bytes) -> bytes:
        """Return an answer as it goes to the wire."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._tls.outgoing()

    def outgoing(self) -> bytes:
        """Return what TLS itself has to say."""
        return b"" if self._tls is None else self._tls.outgoing()

    def agreed(self) -> str:
        """Return the version and the cipher of TLS once they are agreed, and only once; else nothing."""
        if self._agreed or self._tls is None or not self._tls.established:
            return ""
        self._agreed = True
        return self._tls.agreed

    def close(self) -> bytes:
        """Return what is said before the connection ends."""
        if self._tls is None:
            return b""
        self._tls.close()
        return self._tls.outgoing()
