"""A drives' port on loopback in a thread of its own, a fake link behind it; tests talk to it by sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qekm.dkp.frame import HEADER_LENGTH, Frame, parse
from qekm_gateway.admission import Admission
from qekm_gateway.connection import Connection
from qekm_gateway.deadlines import Deadlines, Limits
from qekm_gateway.faults import Incidents
from qekm_gateway.gateway import Gateway
from qekm_gateway.tls import Certificate
from tests.fakes.link import FakeLink

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]


@dataclass
class Port:
    """A running port."""

    loop: asyncio.AbstractEventLoop
    gateway: Gateway
    link: FakeLink
    number: int
    host: str

    def connect(self, source: str | None = None) -> Client:
        """Return a new client."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        plain = socket.socket(family)
        plain.settimeout(10)
        if source:
            plain.bind((source, 0))
        plain.connect((self.host, self.number))
        return Client(plain)

    def run(self, call: Callable[[], T]) -> T:
        """Run something in the loop's thread and return its result."""

        async def do() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(10)


class Client:
    """A client that sends what it is told and reads frames."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes; EOFError if the server ends before."""
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def frame(self) -> Frame:
        """Return the next frame; EOFError when the server has closed."""
        header = self.exactly(HEADER_LENGTH)
        return parse(header + self.exactly(int.from_bytes(header[20:24])))

    def ask(self, data: bytes) -> Frame:
        """Send bytes and return the frame that comes back."""
        self.send(data)
        return self.frame()

    def closed(self) -> bool:
        """Wait until the server closes; False if bytes come instead."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def over_tls(self, trust: Path, **options: Any) -> Client:
        """Return this client inside TLS."""
        context = ssl.create_default_context(cafile=str(trust))
        for name, value in options.items():
            setattr(context, name, value)
        return Client(context.wrap_socket(self.socket, server_hostname="localhost"))


@contextlib.contextmanager
def open_port(
    link: FakeLink | None = None,
    *,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    limits: Limits | None = None,
    per_address: int = 64,
    total: int = 1_000,
    tls_required: bool = False,
    pki: Path | None = None,
    host: str = "127.0.0.1",
    send_buffer: int = 0,
) -> Iterator[Port]:
    """Listen until the block ends; a short limit is looked at every 10 ms."""
    opened: list[Port] = []
    ready = threading.Event()
    fake = link or FakeLink()
    folder = pki or Path("/nonexistent")

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        gateway = Gateway(
            loop,
            fake,
            Admission(per_address, total),
            Deadlines(loop, 0.01),
            Certificate(folder / "gateway.pem", folder / "gateway.key"),
            Incidents(),
            limits or Limits(),
            tls_required,
        )
        listener = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = await loop.create_server(lambda: Connection(gateway), sock=listener, backlog=512)
        opened.append(Port(loop, gateway, fake, listener.getsockname()[1], host))
        stop = asyncio.Event()
        opened[0].__dict__["stop"] = lambda: loop.call_soon_threadsafe(stop.set)
        ready.set()
        await stop.wait()
        server.close()
        gateway.deadlines.stop()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(listen())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    try:
        yield opened[0]
    finally:
        opened[0].__dict__["stop"]()
        thread.join(10)
