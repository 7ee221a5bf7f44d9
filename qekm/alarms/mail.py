"""Alarms by mail: one SMTP conversation a message (RFC 5321), with TLS and a login where they are wanted."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from qekm.alarms.digest import Digest, mail_of, merged
from qekm.alarms.undelivered import Undelivered, stage
from qekm.peers import is_local
from qekm.secret import Secret

TIMEOUT_S = 15.0  # for each answer of the server
OFF, STARTTLS, TLS = "off", "starttls", "tls"


class Context(Protocol):
    """What makes the TLS context anew for each conversation: files may have been replaced; OSError."""

    def __call__(self) -> ssl.SSLContext:
        """Return it."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A receiver of digests (qekm.logs.courier). password: read when it is needed, OSError."""

    address: tuple[str, int]
    tls: str
    sender: str
    receivers: Sequence[str]
    user: str
    password: Callable[[], Secret] = field(repr=False)
    context: Context = ssl.create_default_context
    timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        """Return what a status calls it."""
        return f"mail server {self.address[0]}:{self.address[1]}"

    def take(self, digests: Sequence[Digest]) -> None:
        """Send one mail about all of them; Undelivered. What is refused for good is tried again, too."""
        self._send(merged(digests))

    def missed(self, count: int) -> None:
        """Be told of what was lost: the next message says what stands."""

    def close(self) -> None:
        """Nothing is open between two messages."""

    def _send(self, digest: Digest) -> None:
        with stage("connect"):
            server = self._connect()
        try:
            if self.tls == STARTTLS:
                with stage("tls"):
                    self._secure(server)
            if self.user:
                with stage("login"):
                    self._log_in(server)
            with stage("send"):
                refused = server.send_message(mail_of(digest, self.sender, self.receivers))
            if refused:
                raise Undelivered("send", f"refused for {', '.join(refused)}")
            with suppress(OSError):  # it has the mail
                server.quit()
        finally:
            server.close()

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self.tls == OFF and not is_local(self.address[0]):
            raise Undelivered("login", "no password is sent without TLS (alarms.mail.tls)")
        with self.password() as password:
            server.login(self.user, password.reveal().decode())

    def _connect(self) -> smtplib.SMTP:
        host, port = self.address
        if self.tls == TLS:
            return smtplib.SMTP_SSL(host, port, timeout=self.timeout_s, context=self.context())
        return smtplib.SMTP(host, port, timeout=self.timeout_s)

    def _secure(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if not server.has_extn("starttls"):
            raise Undelivered("tls", "the server offers no STARTTLS")
        code, answer = server.starttls(context=self.context())
        if code != 220:
            raise Undelivered("tls", f"{code} {answer.decode(errors='replace')}")
