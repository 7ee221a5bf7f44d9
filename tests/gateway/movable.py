"""The ports of a gateway in a loop of a thread of their own, a fake link behind them: they can be moved."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qekm_gateway.admission import Admission
from qekm_gateway.deadlines import Deadlines, Limits
from qekm_gateway.gateway import Gateway
from qekm_gateway.listeners import open_listeners
from qekm_gateway.ports import Ports
from qekm_gateway.tls import Certificate
from tests.fakes.link import FakeLink
from tests.gateway.port import Client

T = TypeVar("T")
LOCAL = ("127.0.0.1",)


@dataclass
class Movable:
    """A gateway of ports."""

    loop: asyncio.AbstractEventLoop
    gateway: Gateway
    link: FakeLink
    ports: Ports

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Run something in the loop's thread and return its result."""
        return asyncio.run_coroutine_threadsafe(act, self.loop).result(10)

    def move(self, port: int = 0, drain: float = 60.0, hosts: Sequence[str] = LOCAL) -> int:
        """Move the ports and return the present one."""
        self.run(self.ports.move(hosts, port, drain))
        return self.ports.port


def connect(port: int, host: str = "127.0.0.1") -> Client:
    """Return a client of a port; ConnectionRefusedError if nobody listens."""
    plain = socket.create_connection((host, port), 5)
    plain.settimeout(5)
    return Client(plain)


def refused(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether nobody listens on a port."""
    try:
        with connect(port, host):
            return False
    except ConnectionRefusedError:
        return True


@contextlib.contextmanager
def movable(
    *,
    link: FakeLink | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    limits: Limits | None = None,
    kind: Callable[..., Ports] = Ports,
    hosts: Sequence[str] = LOCAL,
    pki: Path | None = None,
    per_address: int = 64,
) -> Iterator[Movable]:
    """Listen until the block ends; nothing unforeseen may have happened then."""
    made: list[Movable] = []
    ready, over = threading.Event(), asyncio.Event()
    folder = pki or Path("/nonexistent")

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        fake = link or FakeLink()
        certificate = Certificate(folder / "gateway.pem", folder / "gateway.key")
        gateway = Gateway(loop, fake, Admission(per_address, 1_000), Deadlines(loop, 0.01), certificate)
        gateway.limits = limits or Limits()
        ports = kind(gateway, open_listeners(hosts, 0))
        await ports.start()
        made.append(Movable(loop, gateway, fake, ports))
        ready.set()
        await over.wait()
        ports.close()
        gateway.deadlines.stop()

    async def end() -> None:
        over.set()

    def work() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(listen())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
        assert made[0].gateway.incidents.count == 0
    finally:
        asyncio.run_coroutine_threadsafe(end(), made[0].loop).result(10)
        thread.join(10)
