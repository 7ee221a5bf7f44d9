"""Alarms by mail: one SMTP conversation a message (RFC 5321), with TLS and a login where they are wanted."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from qekm.alarms.digest import Digest, mail_of, merged
from qekm.alarms.smtp import Client, TlsClient
from qekm.alarms.undelivered import Undelivered, stage, within
from qekm.deadline import Deadline
from qekm.peers import is_local
from qekm.secret import Secret

_log = logging.getLogger(__name__)

TIMEOUT_S = 15.0  # for each read
LIMIT_S = 60.0  # for all of a conversation
OFF, STARTTLS, TLS = "off", "starttls", "tls"


class Context(Protocol):
    """What makes the TLS context anew for each conversation: files may have been replaced; OSError."""

    def __call__(self) -> ssl.SSLContext:
        """Return it."""


@dataclass(slots=True)
class Mail:
    """A receiver of digests (qekm.logs.courier). password: read when it is needed, OSError.

    remark: what a status says although the last mail was taken: for some it was not.
    """

    address: tuple[str, int]
    tls: str
    sender: str
    receivers: Sequence[str]
    user: str
    password: Callable[[], Secret] = field(repr=False)
    context: Context = ssl.create_default_context
    timeout_s: float = TIMEOUT_S
    limit_s: float = LIMIT_S
    remark: str = field(default="", init=False)

    @property
    def name(self) -> str:
        """Return what a status calls it."""
        return f"mail server {self.address[0]}:{self.address[1]}"

    def take(self, digests: Sequence[Digest]) -> None:
        """Send one mail about all of them; Undelivered if nobody gets it. A refusal is tried again, too."""
        with within(self.limit_s) as deadline:
            self._send(merged(digests), deadline)

    def missed(self, count: int) -> None:
        """Be told of what was lost: the next message says what stands."""

    def close(self) -> None:
        """Nothing is open between two messages."""

    def _send(self, digest: Digest, deadline: Deadline) -> None:
        with stage("connect"):
            server = self._connect(deadline)
        try:
            if self.tls == STARTTLS:
                with stage("tls"):
                    self._secure(server)
            if self.user:
                with stage("login"):
                    self._log_in(server)
            with stage("send"):
                refused = server.send_message(mail_of(digest, self.sender, self.receivers))
            self._note(refused)
            with suppress(OSError):  # it has the mail
                server.quit()
        finally:
            server.close()

    def _log_in(self, server: Client) -> None:
        if self.tls == OFF and not is_local(self.address[0]):
            raise Undelivered("login", "no password is sent without TLS (alarms.mail.tls)")
        with self.password() as password:
            # smtplib encodes both as ASCII, and its error shows the letter and carries the password.
            if not (self.user.isascii() and password.reveal().isascii()):
                raise Undelivered("login", "the user or the password has letters beyond ASCII")
            server.login(self.user, password.reveal().decode("ascii"))

    def _note(self, refused: Iterable[str]) -> None:
        """Have a status name who is refused; the others have the mail, and get it once."""
        before, names = self.remark, ", ".join(refused)
        self.remark = f"{self.name} takes no mail for {names}" if names else ""
        if self.remark != before:
            _log.warning("%s", self.remark or f"{self.name} takes mail for all again")

    def _connect(self, deadline: Deadline) -> Client:
        host, port = self.address
        if self.tls == TLS:
            return TlsClient(deadline, host, port, timeout=self.timeout_s, context=self.context())
        return Client(deadline, host, port, timeout=self.timeout_s)

    def _secure(self, server: Client) -> None:
        server.ehlo_or_helo_if_needed()
        if not server.has_extn("starttls"):
            raise Undelivered("tls", "the server offers no STARTTLS")
        code, answer = server.starttls(context=self.context())
        if code != 220:
            raise Undelivered("tls", f"{code} {answer.decode(errors='replace')}")
