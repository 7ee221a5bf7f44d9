"""The process: read, listen, serve, stop. `qekm-gateway run --home HOME`."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import uvloop
from grpc import aio

from qekm import __version__
from qekm.clock import now_us
from qekm.config import Settings
from qekm.errors import NotInitialised, QekmError, ServiceAway, exit_code
from qekm.home import Home
from qekm.log import configure
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import Files, client_credentials
from qekm.v1.serving_pb2 import GatewayHello
from qekm_gateway.admission import Admission, connection_limit
from qekm_gateway.connection import Connection
from qekm_gateway.deadlines import Deadlines, Limits
from qekm_gateway.diagnosing import Diagnosing
from qekm_gateway.faults import Incidents
from qekm_gateway.gateway import Gateway
from qekm_gateway.lines import Lines
from qekm_gateway.link import Link
from qekm_gateway.listeners import BACKLOG, open_listeners
from qekm_gateway.renewing import Renewal
from qekm_gateway.simulator.link import Server
from qekm_gateway.tls import Certificate

_log = logging.getLogger("qekm_gateway.server")

DRAIN = 2.0  # seconds for steps in flight; longer than their deadline
_PR_SET_DUMPABLE = 4  # linux/prctl.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qekm-gateway` and return its exit code (qekm.errors.EXIT_CODES)."""
    options = _parser().parse_args(arguments)
    try:
        _run(Home.find(options.home), options.tcp_port)
    except QekmError as error:
        print(f"qekm-gateway: error: {error.message}", file=sys.stderr)
        if error.advice:
            print(f"qekm-gateway: hint: {error.advice}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qekm-gateway", description="Takes drives on TCP 3801.")
    parser.add_argument("--version", action="version", version=__version__)
    run = parser.add_subparsers(required=True, metavar="run").add_parser("run", help="serve until SIGTERM")
    run.add_argument("--home", help="directory of the key manager (QEKM_HOME, else /var/lib/qekm)")
    run.add_argument("--tcp-port", type=_port, help="instead of TransportListener.tcp.port; 0: any free one")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a port: a whole number from 0 to 65535")
    return int(text)


def _run(home: Home, tcp_port: int | None) -> None:
    if not home.config.is_file():
        raise NotInitialised(f"there is no key manager in {home.path}", home=str(home.path))
    settings = Settings.load(home.config)
    configure("qekm-gateway")
    _harden()
    sockets = open_listeners(
        settings["TransportListener.tcp.host"],
        settings["TransportListener.tcp.port"] if tcp_port is None else tcp_port,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(home, settings, sockets))


def _harden() -> None:
    """Leave no memory image: keys are in it only wrapped, but names and sessions are nobody's business."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _serve(home: Home, settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Take drives until SIGTERM or SIGINT, then finish what is under way."""
    loop = asyncio.get_running_loop()
    incidents = Incidents()
    loop.set_exception_handler(lambda _loop, context: _unforeseen(incidents, context))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway, lines, renewal = _build(loop, home, settings, sockets, incidents)
    listeners = [
        await loop.create_server(lambda: Connection(gateway), sock=opened, backlog=BACKLOG)
        for opened in sockets
    ]
    port = sockets[0].getsockname()[1]
    with home.announced("gateway", __version__, {"tcp": port}):
        lines.start()
        renewing = loop.create_task(renewal.run())
        _log.info("drives are taken on port %d", port)
        await stop.wait()
        _log.info("stopping")
        renewing.cancel()
        for listener in listeners:
            listener.close()
        await _drain(gateway)
        await asyncio.gather(renewing, return_exceptions=True)
        await lines.close()


def _build(
    loop: asyncio.AbstractEventLoop,
    home: Home,
    settings: Settings,
    sockets: Sequence[socket.socket],
    incidents: Incidents,
) -> tuple[Gateway, Lines, Renewal]:
    """Put the parts together; nothing connects and nothing listens yet."""
    required = settings["dkp.tls"] == "required"
    names = [opened.getsockname()[:2] for opened in sockets]
    diagnosing = Diagnosing(
        [
            Server(_reachable(opened), port, required)
            for opened, (_, port) in zip(sockets, names, strict=True)
        ],
        incidents,
    )
    hello = GatewayHello(
        version=__version__,
        addresses=[str(Server(host, port)) for host, port in names],
        pid=os.getpid(),
        diagnosis_spki=diagnosing.spki,
    )
    files = Files(home.certificate("gateway"), home.key("gateway"), home.trust)
    dial = _dialer(home, settings, files)

    def make() -> Link:
        link = Link(dial, hello, incidents, lambda command: diagnosing.start(command, link.diagnosed))
        return link

    lines = Lines(make, settings["dkp.sessionTimeout"])
    limits = Limits(
        frame=settings["dkp.frameTimeout"],
        step=settings["dkp.stepTimeout"],
        session=settings["dkp.sessionTimeout"],
        idle=settings["dkp.idleTimeout"],
    )
    gateway = Gateway(
        loop,
        lines.present,
        Admission(settings["dkp.connectionsPerAddress"], connection_limit()),
        Deadlines(loop),
        Certificate(files.certificate, files.key),
        incidents,
        limits,
        required,
    )

    async def reconnect() -> None:
        gateway.link = await lines.replace()

    return gateway, lines, Renewal(files, dial, reconnect, incidents, now_us)


def _reachable(opened: socket.socket) -> str:
    """Return the address at which a listener is reached from this machine."""
    host = str(opened.getsockname()[0])
    if host == "::":
        return "::1" if opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else "127.0.0.1"
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  compared, not bound


def _dialer(home: Home, settings: Settings, files: Files) -> Callable[[], aio.Channel]:
    """Return what opens a channel to the service, with certificate and port as they are at that time."""
    host = settings["grpc.host"]
    if host in ("::", "0.0.0.0"):  # noqa: S104  compared, not bound
        host = "localhost"

    def dial() -> aio.Channel:
        running = home.running("server")
        port = running.ports["grpc"] if running is not None else settings["grpc.port"]
        if not port:
            raise ServiceAway("the service is not running")
        return open_async_channel(str(Server(host, port)), client_credentials(files))

    return dial


async def _drain(gateway: Gateway) -> None:
    """Close idle connections now and busy ones after their answer, for at most DRAIN seconds."""
    gateway.draining = True
    for guest in gateway.admission.guests:
        guest.drain()
    end = gateway.loop.time() + DRAIN
    # Connections tell nobody that they have ended, and this happens once.
    while len(gateway.admission) and gateway.loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    gateway.deadlines.stop()


def _unforeseen(incidents: Incidents, context: dict[str, object]) -> None:
    error = context.get("exception")
    incidents.record(error if isinstance(error, BaseException) else RuntimeError())


if __name__ == "__main__":
    sys.exit(main())
