"""Real receivers of alarms, in threads of the test: a mail server, and an HTTPS server for a webhook."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from qekm.rpc.tls import Files

HOST = "localhost"


def server_context(files: Files) -> ssl.SSLContext:
    """Return what a server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


@dataclass
class Mails:
    """What a mail server got. refuse: its answer instead; unknown: whom it refuses; slow_s: its thinking."""

    refuse: str = ""
    unknown: tuple[str, ...] = ()
    slow_s: float = 0.0
    received: list[EmailMessage] = field(default_factory=list)
    receivers: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _: Any) -> str:
        """Take a receiver, or not."""
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a mail, or not."""
        await asyncio.sleep(self.slow_s)
        if self.refuse:
            return self.refuse
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        self.receivers.append(envelope.rcpt_tos)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        """Let in who has the password."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password))
        return AuthResult(success=data.password == b"right", handled=False)


@contextmanager
def mail_server(mails: Mails, files: Files | None = None, tls: str = "off") -> Iterator[Mails]:
    """Run a mail server on a free port; tls as alarms.mail.tls says it, a login is wanted over TLS."""
    more: dict[str, Any] = {}
    if files is not None and tls == "starttls":
        more = {
            "tls_context": server_context(files),
            "require_starttls": True,
            "authenticator": mails.authenticate,
            "auth_required": True,
        }
    if files is not None and tls == "tls":
        more = {"ssl_context": server_context(files)}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        context = more.pop("ssl_context", None)
        return await loop.create_server(
            lambda: SMTP(mails, hostname="mail.example", loop=loop, **more),
            "127.0.0.1",
            mails.port,
            ssl=context,
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    mails.port = server.sockets[0].getsockname()[1]
    try:
        yield mails
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Posts:
    """What a webhook got: headers and bodies; status: its answer."""

    status: int = 204
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers."""
        posts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Take a body."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.received.append((dict(self.headers), body))
                self.send_response(posts.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def web_server(posts: Posts, files: Files) -> Iterator[Posts]:
    """Run an HTTPS server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", posts.port), posts.handler())
    server.socket = server_context(files).wrap_socket(server.socket, server_side=True)
    posts.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
