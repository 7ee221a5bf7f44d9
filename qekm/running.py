"""One run of a key manager: its store opened, its service until somebody ends it, everything written."""

from __future__ import annotations

import asyncio
import signal

from qekm import __version__
from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.logs.process import ProcessLog
from qekm.notify import Notifier, told
from qekm.sealing import Sealer
from qekm.service import Service
from qekm.standing import Checking, open_store


async def serve(home: Home, settings: Settings, sealer: Sealer, log: ProcessLog | None = None) -> None:
    """Run the key manager of a home until a signal or a call ends it; returns when all is written.

    BadPassword, BadConfiguration, NotInitialised, PortInUse, StoreInUse, StoreNewer, StoreDamaged, …
    """
    notifier = Notifier.take()
    store = open_store(home, settings, sealer, Checking(notifier.starting))
    try:
        service = Service(home, settings, store, outlets=None if log is None else log.outlets)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.end)
        try:
            ports = await service.start()
            guard = loop.create_task(notifier.guard(lambda: service.well))
            with home.announced("server", __version__, ports) as announce:
                service.ssl.tell = lambda _port: announce(service.ports)
                if log is not None:
                    log.started(ports)
                notifier.ready(f"serving on ports {told(ports)}")
                await service.wait()
                notifier.stopping()
                await service.stop()
            guard.cancel()
        except BaseException:
            await service.abort()
            raise
    finally:
        store.close()
