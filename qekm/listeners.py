"""What the service listens on: gRPC over mTLS, and health on a server of its own."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import errno
import os
import socket
from collections.abc import Callable, Sequence

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from qekm.configuration.settings import Settings
from qekm.errors import BadConfiguration, PortInUse
from qekm.properties.listeners import GRPC_PORT, HEALTH_PORT
from qekm.rpc.channel import SERVER_OPTIONS, make_server
from qekm.rpc.tls import Files, server_credentials

LOOPBACK = "127.0.0.1"
_PRIVILEGED = "below 1024 a program needs CAP_NET_BIND_SERVICE (deploy/README.md); or set another port"
_HEALTH_CALLS = 64  # health is asked by name or watched; it never counts against the service's own calls


class Listeners:
    """The two servers: made in the event loop that will run them, listening from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        files: Files,
        interceptors: Sequence[aio.ServerInterceptor],
        add: Callable[[aio.Server], None],
        names: Sequence[str],
    ) -> None:
        """Take what to listen on; `add` puts the servicers on a server, `names` are their full names."""
        self._settings, self._names = settings, names
        self._server = make_server(interceptors)
        add(self._server)
        if settings["grpc.reflection"]:
            reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self._credentials = server_credentials(files)
        self._health_server = aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=_HEALTH_CALLS)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)

    async def start(self) -> dict[str, int]:
        """Listen and return the ports by name; PortInUse, BadConfiguration name the property at fault."""
        settings = self._settings
        ports = {
            "grpc": bind(
                lambda address: self._server.add_secure_port(address, self._credentials),
                settings["grpc.host"],
                settings[GRPC_PORT],
                GRPC_PORT,
            ),
            "health": bind(
                self._health_server.add_insecure_port, LOOPBACK, settings[HEALTH_PORT], HEALTH_PORT
            ),
        }
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        await self._health_server.start()
        return ports

    async def leave(self) -> None:
        """Tell whoever asks for health that the service is going; nothing is refused yet."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let those under way end within `grace_s` seconds, and cancel the others."""
        await self._server.stop(grace_s)
        await self._health_server.stop(0)


def bind(listen: Callable[[str], int], host: str, port: int, name: str) -> int:
    """Return the port that is listened on; PortInUse, BadConfiguration.

    It is tried without grpc first, which says only that it could not, and that on standard error.
    """
    reason = _reason(host, port)
    if not reason:
        try:
            bound = listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError:
            bound = 0
        if bound:
            return bound
        reason = _reason(host, port)
    if reason == errno.EADDRINUSE:
        hint = "another process listens there; stop it or set another port"
        raise PortInUse(f"{host} port {port} ({name}) is taken", hint=hint, property=name, port=str(port))
    told = os.strerror(reason) if reason else "no reason told"
    advice = _PRIVILEGED if reason == errno.EACCES else None
    raise BadConfiguration(
        f"cannot listen on {host} port {port} ({name}): {told}", hint=advice, property=name
    )


def _reason(host: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as grpc: past connections hold nothing
            probe.bind(address)
    except OSError as error:
        return error.errno or 0
    return 0
