"""A TLS handshake with the service, step by step: grpc would only call it unavailable."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from socket import create_connection
from typing import Any

from cryptography import x509

from qekm.doctor.certificates import Pair, covers, hosts_of, judge
from qekm.doctor.finding import Seen, broken, fine

PATIENCE_S = 3.0  # for each of the three
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113, 3.4
_PLAIN = (
    "WRONG_VERSION_NUMBER",
    "UNEXPECTED_MESSAGE",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER",
)
_CLOCKS = "compare the clocks of both machines: date -u"


@dataclass(frozen=True, slots=True)
class Shake:
    """How far it came. chain: what the server showed, leaf first.

    trouble: OpenSSL's reason, or closed, silent, reset; empty if it went well. greeted: whether the handshake
    itself was over, so that the trouble is about our certificate.
    """

    trouble: str = ""
    greeted: bool = False
    chain: Sequence[x509.Certificate] = field(default=())
    protocol: str = "h2"


def decide(shake: Shake, host: str, trust: Sequence[x509.Certificate], now: datetime) -> Iterator[Seen]:
    """Yield what keeps us and the server from each other; the first cause first. Pure."""
    if not shake.chain:
        yield from _unbegun(shake.trouble)
        return
    renewal = "there: stop the service, qekm-server renew server, start it"
    pair = Pair("the server's certificate", shake.chain, trust, "server", renewal)
    wrong = [seen for seen in judge(pair, now) if seen.verdict != "ok"]
    yield from wrong
    hosts = hosts_of(shake.chain[0])
    if not covers(hosts, host):
        told = f"the server's certificate is for {', '.join(hosts[:4]) or 'no host'}, not for {host}"
        yield broken(
            told, "call it by one of these names, or have this one added: qekm init --host named them"
        )
    if shake.trouble and not any(seen.verdict == "broken" for seen in wrong):
        yield from _refused(shake.trouble)
    elif shake.protocol != "h2":
        yield broken(
            "what listens there speaks TLS, but not HTTP/2: it is no key service", "compare the port"
        )
    elif not wrong:
        yield fine("TLS 1.3, both certificates are accepted")


def _unbegun(trouble: str) -> Iterator[Seen]:
    """Yield why the server did not even show a certificate."""
    if trouble == "silent":
        what = "it takes connections and says nothing: it is frozen, or speaks no TLS"
        yield broken(what, "there: ps, and qekm doctor")
    elif trouble in ("closed", "reset"):
        yield broken("it closes connections at once: it speaks no TLS, or is ending", "compare the port")
    elif any(sign in trouble for sign in _PLAIN):
        yield broken("what listens there speaks no TLS: it is another program", "compare the port")
    elif "PROTOCOL_VERSION" in trouble or "UNSUPPORTED_PROTOCOL" in trouble:
        yield broken(
            "what listens there does not speak TLS 1.3: it is another program, or a proxy", "compare the port"
        )
    else:
        yield broken(f"the handshake failed: {trouble}", "compare the port")


def _refused(trouble: str) -> Iterator[Seen]:
    """Yield why our certificate was not accepted, as far as the server's TLS tells."""
    if "EXPIRED" in trouble:
        yield broken("our certificate has ended, by the service's clock", _CLOCKS)
    elif "UNKNOWN_CA" in trouble:
        told = "our certificate is from an authority that the service does not trust"
        yield broken(told, "have another one issued there: qekm certificates issue")
    else:
        why = "its authority is not trusted there, or it is not valid by the clock there"
        told = f"the service refuses our certificate: {why}"
        yield broken(
            f"{told} ({trouble})", _CLOCKS + "; then have another one issued: qekm certificates issue"
        )


def shake(host: str, port: int, certificate: Path, key: Path) -> Shake:
    """Do it; OSError if there is no connection, or a file cannot be used. Nothing is verified by OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificate, key, password="")  # only keeps OpenSSL from asking
    with create_connection((host, port), PATIENCE_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=None if _is_address(host) else host) as wrapped:
                return _greet(wrapped)
        except OSError as error:
            return Shake(_reason(error))


def _greet(wrapped: ssl.SSLSocket) -> Shake:
    """Say what begins HTTP/2, and see whether it is answered: in TLS 1.3 only then we are refused."""
    chain, protocol = _shown(wrapped), wrapped.selected_alpn_protocol() or ""
    try:
        wrapped.sendall(_GREETING)
        answer = wrapped.recv(1)
    except OSError as error:
        return Shake(_reason(error), True, chain, protocol)
    return Shake("" if answer else "closed", True, chain, protocol)


def _shown(wrapped: ssl.SSLSocket) -> list[x509.Certificate]:
    leaf = wrapped.getpeercert(binary_form=True)
    assert leaf is not None
    inner: Any = getattr(wrapped, "_sslobj", None)  # public only since Python 3.13
    try:
        given = [each.public_bytes(2) for each in inner.get_unverified_chain()]  # _ssl.ENCODING_DER
        return [x509.load_der_x509_certificate(each) for each in given]
    except (AttributeError, TypeError, ValueError):
        return [x509.load_der_x509_certificate(leaf)]


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, ssl.SSLEOFError):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return "reset" if isinstance(error, ConnectionError) else str(error.strerror or error)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
