"""The process: read, listen, serve, stop. `qekm-gateway run --home HOME`."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

import uvloop

from qekm import __version__, collecting
from qekm.configuration.settings import Settings
from qekm.errors import NotInitialised, QekmError, exit_code
from qekm.home import Home
from qekm.logs.process import ProcessLog
from qekm.notify import Notifier
from qekm.properties.listeners import TCP_HOST, TCP_PORT
from qekm_gateway.configuring import FROM_OPTION
from qekm_gateway.faults import Incidents
from qekm_gateway.gateway import Gateway
from qekm_gateway.listeners import Place, open_listeners
from qekm_gateway.parts import Parts

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
    with ProcessLog(home, "qekm-gateway", "gateway") as log:
        settings = Settings.load(home.config)
        if tcp_port is not None:
            settings.put(TCP_PORT, str(tcp_port), FROM_OPTION)
        log.configure(settings)
        _harden()
        opened = open_listeners(settings[TCP_HOST], settings[TCP_PORT])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(home, settings, opened, log))


def _harden() -> None:
    """Leave no memory image: keys are in it only wrapped, but names and sessions are nobody's business."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _serve(
    home: Home, settings: Settings, opened: Mapping[Place, socket.socket], log: ProcessLog
) -> None:
    """Take drives until SIGTERM or SIGINT, then finish what is under way."""
    loop, notifier = asyncio.get_running_loop(), Notifier.take()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts = Parts(loop, home, settings, opened)
    loop.set_exception_handler(lambda _loop, context: _unforeseen(parts.gateway.incidents, context))
    await parts.metrics.start()
    await parts.ports.start()
    collecting.spare()
    with home.announced("gateway", __version__, {"tcp": parts.ports.port}) as announce:
        parts.announce = announce
        parts.lines.start()
        renewing = loop.create_task(parts.renewal.run())
        guard = loop.create_task(notifier.guard(lambda: True))
        _log.info("drives are taken on port %d", parts.ports.port)
        log.started({"tcp": parts.ports.port})
        for line in parts.troubles():
            _log.warning("DEGRADED: %s", line)
        notifier.ready(f"drives are taken on port {parts.ports.port}")
        await stop.wait()
        notifier.stopping()
        _log.info("stopping")
        for task in (renewing, guard):
            task.cancel()
        await parts.configuring.close()
        parts.ports.close()
        await _drain(parts.gateway)
        await asyncio.gather(renewing, guard, return_exceptions=True)
        await parts.lines.close()
        await parts.close()


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
