"""Credentials of servers and clients: TLS 1.3, both sides with certificates, renewed without a restart."""

from __future__ import annotations

import qekm.rpc

# isort: split
import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from qekm.durable import replace
from qekm.errors import BadCertificate, BadConfiguration, NotInitialised

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Files:
    """Where one end of a link keeps its certificate (leaf first), its private key and whom it trusts; PEM.

    copy: of whom it trusts, for a gateway that sees nothing else of this home; written only if it is there.
    """

    certificate: Path
    key: Path
    trust: Path
    copy: Path | None = None

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Return certificate chain, key and trusted authorities, having seen that they can be used.

        NotInitialised names a missing file, BadConfiguration one that cannot be read, BadCertificate one that
        makes no sense: grpc would end the process (a client) or refuse everyone (a server).
        """
        try:
            found = self.certificate.read_bytes(), self.key.read_bytes(), self.trust.read_bytes()
        except FileNotFoundError as error:
            raise NotInitialised(f"there is no file {error.filename}", path=str(error.filename)) from None
        except OSError as error:
            raise BadConfiguration(f"cannot read {error.filename}: {error.strerror}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.trust)
        except ssl.SSLError:
            raise BadCertificate(f"{self.trust} has no certificate that can be read") from None
        try:
            # The password only keeps a locked key from asking for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, ValueError):
            raise BadCertificate(
                f"{self.certificate} and {self.key.name} are no certificate and its key"
            ) from None
        return found

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes whenever one of the files is replaced or rewritten."""
        found = (path.stat() for path in (self.certificate, self.key, self.trust))
        return tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in found)


def client_credentials(files: Files) -> grpc.ChannelCredentials:
    """Return credentials for one channel; a client makes a new channel when `files.state()` has changed."""
    chain, key, trust = files.read()
    return grpc.ssl_channel_credentials(trust, key, chain)


def server_credentials(files: Files, begun: Callable[[], None] | None = None) -> grpc.ServerCredentials:
    """Return credentials that demand a client certificate and follow the files from connection to connection.

    begun: called on threads of grpc's before each handshake. BadConfiguration if grpc was imported before
    qekm.rpc, because TLS 1.2 would then be accepted.
    """
    if not qekm.rpc.TLS13_ONLY:
        raise BadConfiguration("grpc was imported before qekm.rpc: TLS 1.2 could not be switched off")
    files.read()  # names what is missing
    follow = _Follower(files)
    first = follow()
    assert first is not None
    follow.begun = begun
    # None for "no change" is documented, but not in the types.
    return grpc.dynamic_ssl_server_credentials(first, follow, require_client_authentication=True)  # type: ignore[arg-type]


def publish(files: Files, certificate: bytes, trust: bytes) -> None:
    """Replace certificate and trust, each at once and for good; servers follow with the next connection.

    Trust first: in between, a new certificate is never shown to who could not know its authority.
    """
    replace(files.trust, trust)
    if files.copy is not None and files.copy.exists():
        replace(files.copy, trust)
    replace(files.certificate, certificate)


class _Follower:
    """Answers grpc before every handshake: a new configuration, or None when nothing has changed.

    grpc calls it on threads of its own, several at once. A file that cannot be read, or a key that does not
    fit its certificate yet (they are replaced one after the other), leaves the configuration before in force.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._state: object = None
        self.begun: Callable[[], None] | None = None

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        if self.begun is not None:
            self.begun()
        with self._lock:
            try:
                state = self._files.state()
                if state == self._state:
                    return None
                chain, key, trust = self._files.read()
            except Exception as error:
                if self._state is None:
                    raise
                _log.warning("cannot read the certificates: %s", error)
                return None
            self._state = state
            return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=trust)
