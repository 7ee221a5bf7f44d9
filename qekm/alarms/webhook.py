"""Alarms to a webhook: one HTTPS request a message, its body signed for who shares a secret with us."""

from __future__ import annotations

import hmac
import http.client
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from qekm import __version__
from qekm.alarms.digest import Digest, body_of, merged
from qekm.alarms.mail import Context
from qekm.alarms.undelivered import Undelivered, stage, within
from qekm.deadline import Deadline
from qekm.secret import Secret

TIMEOUT_S = 15.0  # for each read
LIMIT_S = 30.0  # for all of a request
_ANSWER = 65_536  # bytes of an answer that are read
_HEADER, _TIME = "X-QEKM-Signature", "X-QEKM-Timestamp"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of digests (qekm.logs.courier). secret: read when it is needed, OSError; None: unsigned."""

    url: str
    secret: Callable[[], Secret] | None = field(repr=False)
    now_us: Callable[[], int]
    context: Context = ssl.create_default_context
    timeout_s: float = TIMEOUT_S
    limit_s: float = LIMIT_S
    remark: ClassVar[str] = ""  # there is one receiver: it takes a message, or not

    @property
    def name(self) -> str:
        """Return what a status calls it; what is behind the host may be a secret of somebody's."""
        return f"webhook at {urlsplit(self.url).netloc.rpartition('@')[2]}"

    def take(self, digests: Sequence[Digest]) -> None:
        """Post one request about all of them; Undelivered."""
        body = body_of(merged(digests))
        with within(self.limit_s) as deadline:
            self._post(body, deadline)

    def missed(self, count: int) -> None:
        """Be told of what was lost: the next message says what stands."""

    def close(self) -> None:
        """Nothing is open between two messages."""

    def _post(self, body: bytes, deadline: Deadline) -> None:
        parts = urlsplit(self.url)
        with stage("sign"):
            headers = self._headers(body)
        with stage("tls"):
            connection = self._connection(parts.hostname or "", parts.port, parts.scheme)
        try:
            with stage("connect"):
                connection.connect()  # a handshake's time is bounded by the timeout
                deadline.watch(connection.sock)
            with stage("send"):
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", path, body, headers)
            with stage("answer"):
                heard = connection.getresponse()
                heard.read(_ANSWER)
            status, reason = heard.status, heard.reason
            if not 200 <= status < 300:  # a redirection, too: nothing is sent where nobody said
                raise Undelivered("answer", f"{status} {reason}")
        except http.client.HTTPException as error:
            raise Undelivered("answer", str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def _connection(self, host: str, port: int | None, scheme: str) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self.context())
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s)

    def _headers(self, body: bytes) -> dict[str, str]:
        sent = str(self.now_us() // 1_000_000)
        headers = {"Content-Type": "application/json", "User-Agent": f"qekm/{__version__}", _TIME: sent}
        if self.secret is not None:
            with self.secret() as secret:
                headers[_HEADER] = signature(secret, sent, body)
        return headers


def signature(secret: Secret, sent: str, body: bytes) -> str:
    """Return sha256= and the HMAC-SHA256, hex, over the time of sending (seconds), a dot and the body."""
    return "sha256=" + hmac.digest(secret.reveal(), sent.encode() + b"." + body, "sha256").hex()
