"""Syslog messages (RFC 5424), and the three ways to send them: UDP (5426), TCP (6587, 3.4.1), TLS (5425)."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from qekm.logs.entry import AUDIT, Entry
from qekm.logs.escaping import escape
from qekm.logs.stamp import stamp

SD_ID = "qekm@32473"  # the number that RFC 5612 leaves to those without one of their own
MOST_DATAGRAM, MOST_MESSAGE = 2_048, 8_192  # bytes; RFC 5424, 6.1, and what common receivers are set to
CONNECT_S, VERDICT_S, SEND_S = 10.0, 0.5, 30.0
_DAEMON, _LOG_AUDIT = 3, 13  # facilities
_NO_NAME = re.compile(r"[^\x21-\x7e]")
_NO_PARAM_NAME = re.compile(r'[^\x21-\x7e]|[="\]]')
_PARAM = re.compile(r'["\\\]]')

MakeContext = Callable[[], ssl.SSLContext]


class Syslog:
    """A receiver of entries (qekm/logs/courier.py) that is a syslog server; OSError while it is away."""

    def __init__(self, url: str, process: str, make_context: MakeContext) -> None:
        """Take udp://, tcp:// or tls://HOST:PORT; `make_context` is called for each TLS connection."""
        found = urlsplit(url)
        self._address = str(found.hostname), int(found.port or 0)
        self._scheme, self._process, self._make_context = found.scheme, process, make_context
        self._host = socket.gethostname()
        self._socket: socket.socket | None = None

    def take(self, entries: Sequence[Entry]) -> None:
        """Send entries; after an error the connection is made anew for the next try."""
        try:
            line = self._connected()
            if self._scheme == "udp":
                for entry in entries:
                    line.send(message(entry, self._process, self._host, MOST_DATAGRAM))
            else:
                line.sendall(b"".join(self._counted(entries)))
        except OSError:
            self.close()
            raise

    def missed(self, count: int) -> None:
        """Tell in the process's log, which comes here, too."""
        logging.getLogger(__name__).warning("%d lines for the syslog server were lost", count)

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _counted(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        for entry in entries:
            text = message(entry, self._process, self._host, MOST_MESSAGE)
            yield b"%d %b" % (len(text), text)

    def _connected(self) -> socket.socket:
        if self._socket is not None and self._scheme != "udp" and _has_ended(self._socket):
            self.close()  # what is sent into it now would be lost without an error
        if self._socket is None:
            self._socket = self._connect()
            # With TLS 1.3 a server refuses a client when that thinks the handshake done; others just close.
            if self._scheme != "udp" and _has_ended(self._socket, VERDICT_S):
                raise ConnectionResetError(errno.ECONNRESET, "the server ends each connection at once")
        return self._socket

    def _connect(self) -> socket.socket:
        try:
            if self._scheme == "udp":
                return _datagrams(self._address)
            plain = socket.create_connection(self._address, CONNECT_S)
        except UnicodeError as error:  # a host name that no name server can be asked for
            raise OSError(f"no host has the name {self._address[0]}") from error
        try:
            plain.settimeout(SEND_S)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_S * 1_000))
            if self._scheme == "tls":
                return self._make_context().wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise
        return plain


def message(entry: Entry, process: str, host: str, most: int) -> bytes:
    """Return a message of at most `most` bytes: fields as structured data, what is behind them is cut."""
    facility = _LOG_AUDIT if entry.logger == AUDIT else _DAEMON
    severity = entry.severity
    kind = entry.fields.get("event", "-") if entry.logger == AUDIT else "-"
    head = f"<{facility * 8 + severity}>1 {stamp(entry.time_us)} {_name(host, 255)} {_name(process, 48)}"
    params = {"logger": entry.logger, **entry.fields}
    told = f"{head} {os.getpid()} {_name(kind, 32)} {_structured(params, most - 512)} "
    text = escape(entry.message + (f" | {entry.trace}" if entry.trace else ""))
    mark = "" if text.isascii() else "\ufeff"  # says that it is UTF-8 (6.4), and that only where it matters
    whole = f"{told}{mark}{text}".encode()
    return whole[:most].decode(errors="ignore").encode()


def client_context(trust: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return what TLS to a syslog server takes: its certificate is checked, its host name too; OSError.

    trust: file of authorities, None for the system's; certificate and key: ours, if the server wants one.
    """
    context = ssl.create_default_context(cafile=trust)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _structured(fields: dict[str, str], most: int) -> str:
    """Return one element with as many fields as there is room for (bytes), in their order."""
    told, room = [SD_ID], most - len(SD_ID) - 2
    for name, value in fields.items():
        quoted = _PARAM.sub(r"\\\g<0>", escape(value))
        param = f'{_NO_PARAM_NAME.sub("_", name)[:32]}="{quoted}"'
        room -= len(param.encode()) + 1
        if room < 0:
            break
        told.append(param)
    return f"[{' '.join(told)}]"


def _name(text: str, most: int) -> str:
    return _NO_NAME.sub("_", text)[:most] or "-"


def _datagrams(address: tuple[str, int]) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    line = socket.socket(family, kind, protocol)
    try:
        line.settimeout(SEND_S)
        line.connect(place)
    except BaseException:
        line.close()
        raise
    return line


def _has_ended(line: socket.socket, wait_s: float = 0.0) -> bool:
    """Tell whether the server has closed a connection, or does so now; one that is open says nothing."""
    line.settimeout(wait_s)
    try:
        return line.recv(1) == b""
    except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
        return False
    finally:
        line.settimeout(SEND_S)
