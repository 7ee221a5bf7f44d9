"""The listener for peers and remote administration. It moves while it serves, and it may be missing.

A key manager that cannot have this port serves its drives all the same: the status says so, and every minute
the port is tried again. A port that is added to a running server never answers, so each move makes a server.
"""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grpc import aio

from qekm.configuration.parts import Applied
from qekm.configuration.settings import Settings
from qekm.errors import PortInUse, QekmError
from qekm.listeners import bind
from qekm.model import Change
from qekm.properties.listeners import SSL_HOST, SSL_PORT
from qekm.rpc.addresses import addresses_of
from qekm.rpc.channel import make_server
from qekm.rpc.handshakes import Handshakes
from qekm.rpc.tls import Files, server_credentials

_log = logging.getLogger(__name__)

GRACE_S = 6.0  # for calls under way on the port before
AGAIN_S = 60.0  # between two attempts to have the port


@dataclass(frozen=True, slots=True)
class _Open:
    """A server that listens."""

    server: aio.Server
    port: int


class SslListener:
    """Listens from `start` to `stop` where the settings say, as far as the machine lets it."""

    def __init__(
        self,
        settings: Settings,
        files: Files,
        interceptors: Sequence[aio.ServerInterceptor],
        add: Callable[[aio.Server], None],
        handshakes: Handshakes | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the settings in force; `add` puts the servicers on one server after another."""
        self._settings, self._interceptors, self._add, self._now_s = settings, interceptors, add, now_s
        self._files, self._handshakes = files, handshakes or Handshakes()
        self._open: _Open | None = None
        self._trouble = ""
        self._stopped = False
        self._tried_s = 0.0
        self._draining: dict[aio.Server, asyncio.Task[None]] = {}
        self.tell: Callable[[int], None] = lambda _port: None  # of another port
        self.moved: Callable[[int, int], Sequence[Change]] = lambda _before, _port: ()  # what to commit

    @property
    def port(self) -> int:
        """Return the port that is listened on, 0 while there is none."""
        return self._open.port if self._open else 0

    @property
    def refused(self) -> int:
        """Return how many connections were refused in the handshake, or were silent."""
        return self._handshakes.refused

    def lines(self) -> list[str]:
        """Return what a status says."""
        return [f"no peers and no remote administration: {self._trouble}"] if self._trouble else []

    async def start(self) -> None:
        """Listen, or note why not."""
        self._tried_s = self._now_s()
        try:
            new = await self._listen(self._settings)
        except QekmError as error:
            self._trouble = f"{error.message}; {error.advice}" if error.advice else error.message
            return
        if self._open is None and not self._stopped:
            self._put(new)
        else:  # it was moved meanwhile, or the service is stopping
            await new.server.stop(0)

    async def tick(self) -> None:
        """Try again what failed a minute ago, and log it if it fails for another reason."""
        if self._trouble and self._now_s() - self._tried_s >= AGAIN_S:
            before = self._trouble
            await self.start()
            if self._trouble not in ("", before):
                _log.warning("DEGRADED: %s", *self.lines())

    async def apply(self, coming: Settings) -> Applied:
        """Listen where settings to be say, beside the present place until they are in force.

        PortInUse, BadConfiguration: nothing has changed.
        """
        settings, before = self._settings, self._open
        if before and (coming[SSL_HOST], coming[SSL_PORT]) == (settings[SSL_HOST], settings[SSL_PORT]):
            return Applied()
        try:
            new = await self._listen(coming)
        except PortInUse as error:
            if before is None or coming[SSL_PORT] != before.port:
                raise
            hint = "choose another port with the other address, or restart the service"
            raise PortInUse(f"port {before.port} is taken by this listener itself", hint=hint) from error

        async def undo() -> None:
            """Listen at the present place only."""
            await new.server.stop(0)

        def settle() -> Sequence[Change]:
            """Tell other servers, over the streams that still stand on the port before."""
            return self.moved(before.port if before else 0, new.port)

        async def finish() -> None:
            """Take the new place, and let calls at the one before come to their end."""
            if self._stopped:
                await new.server.stop(0)
                return
            present = self._open
            self._put(new)
            if present is not None:
                self._drain(present.server)

        notes = (
            (f"the SSL port is {new.port}; calls under way on {before.port} are finished",) if before else ()
        )
        return Applied(undo=undo, settle=settle, finish=finish, notes=notes)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let those under way end within `grace_s` seconds, and cancel the others."""
        self._stopped = True
        present, self._open = self._open, None
        servers = [*self._draining, *([present.server] if present else [])]
        await asyncio.gather(*(server.stop(grace_s) for server in servers))
        await asyncio.gather(*self._draining.values())

    async def _listen(self, settings: Settings) -> _Open:
        host = (await addresses_of(settings[SSL_HOST], SSL_HOST))[0]
        server = make_server(self._interceptors)
        self._add(server)
        if host == "::" and not _has_ipv6():
            host = "0.0.0.0"  # noqa: S104  every address is the default
        # Those of one server tell another of no certificate.
        credentials = server_credentials(self._files, self._handshakes.begin)

        def listen(address: str) -> int:
            return server.add_secure_port(address, credentials)

        port = bind(listen, host, settings[SSL_PORT], SSL_PORT)
        await server.start()
        return _Open(server, port)

    def _put(self, new: _Open) -> None:
        self._open, self._trouble = new, ""
        _log.info("peers and remote administration are served on port %s", new.port)
        try:
            self.tell(new.port)
        except QekmError as error:
            _log.error("the new SSL port is not announced: %s", error.message)

    def _drain(self, server: aio.Server) -> None:
        """End a server without waiting: the call that moved the port may be one of its own."""
        task = self._draining[server] = asyncio.create_task(server.stop(GRACE_S))
        task.add_done_callback(lambda _task: self._draining.pop(server, None))


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
