"""A whole service in the test's own event loop: real store, real mTLS, a clock that can be put forward."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc import aio

from qekm.client import AsyncClient, connect_async
from qekm.clock import now_us as clock_us
from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.model import AuditRecord
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import Files, client_credentials
from qekm.sealing import KeyFileSealer
from qekm.service import Service
from qekm.store import Store
from qekm.unlocking import unlock
from qekm.v1.keystore_pb2 import UnlockKeystoreRequest
from qekm.v1.serving_pb2 import (
    ConfigureCommand,
    ConfigureReport,
    GatewayHello,
    ServeRequest,
    ServeResponse,
    Step,
)
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from qekm.v1.slots_pb2 import Proof
from tests.templates import copied
from tests.waiting import PATIENCE_S

FREE_PORTS = {
    "TransportListener.ssl.port": "0",
    "grpc.port": "0",
    "health.port": "0",
    "metrics.port": "0",
    "gateway.metrics.port": "0",
    "keystore.protect": "none",
}


@dataclass
class Clock:
    """The machine's clock and what a test adds to it."""

    ahead_us: int = 0

    def __call__(self) -> int:
        """Return the time."""
        return clock_us() + self.ahead_us


@dataclass
class Running:
    """A service that listens, its store and an administrator's client."""

    home: Home
    service: Service
    store: Store
    ports: dict[str, int]
    client: AsyncClient
    clock: Clock

    async def records(self) -> list[AuditRecord]:
        """Return the whole trail."""
        return [link.record for link in await asyncio.to_thread(lambda: list(self.store.iterate_audit()))]

    async def recorded(self, event: str, count: int = 1) -> list[AuditRecord]:
        """Return the records of an event once there are so many."""
        end = time.monotonic() + PATIENCE_S
        while len(found := [each for each in await self.records() if each.event == event]) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} records of {event}"
            await asyncio.sleep(0.01)
        return found

    async def unlock(self) -> None:
        """Open the keystore for the administrator with the key file."""
        proof = Proof(key_file=self.home.root_key.read_bytes())
        await self.client.keystore.UnlockKeystore(UnlockKeystoreRequest(proof=proof))

    @asynccontextmanager
    async def gateway(self, first: ServeRequest | None = None) -> AsyncIterator[Gateway]:
        """Connect as a gateway for the block; `first` is its first message, if not a proper hello."""
        files = Files(self.home.certificate("gateway"), self.home.key("gateway"), self.home.trust)
        target = f"localhost:{self.ports['grpc']}"
        async with open_async_channel(target, client_credentials(files)) as channel:
            gateway = Gateway(ServingServiceStub(channel).Serve())
            await gateway.stream.write(first or ServeRequest(hello=gateway.hello()))
            yield gateway
            gateway.stream.cancel()


@dataclass
class Gateway:
    """The gateway's end of a Serve stream; one of an older release, unless a test asks for its commands."""

    stream: aio.StreamStreamCall[ServeRequest, ServeResponse]
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def hello(self) -> GatewayHello:
        """Return what it says first."""
        spki = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return GatewayHello(version="9.9.9", addresses=["127.0.0.1:3801"], pid=4711, diagnosis_spki=spki)

    async def ask(self, *steps: Step) -> ServeResponse:
        """Send one batch and return the answer to it."""
        await self.stream.write(ServeRequest(steps=steps))
        return await self.read()

    async def read(self) -> ServeResponse:
        """Return the next message of the service that is no configure command: those it passes over."""
        while (response := await self._next()).HasField("configure"):
            pass
        return response

    async def command(self) -> ConfigureCommand:
        """Return the configure command that comes next."""
        return (await self._next()).configure

    async def report(
        self, command: ConfigureCommand, *addresses: str, error: str = "", reason: str = ""
    ) -> None:
        """Answer a configure command."""
        report = ConfigureReport(
            command_id=command.command_id, error=error, reason=reason, addresses=addresses
        )
        await self.stream.write(ServeRequest(configure_report=report))

    async def _next(self) -> ServeResponse:
        response = await asyncio.wait_for(self.stream.read(), PATIENCE_S)
        assert isinstance(response, ServeResponse), "the stream ended"
        return response


@asynccontextmanager
async def running(
    path: Path, keys: int = 64, store_type: type[Store] = Store, **properties: str
) -> AsyncIterator[Running]:
    """Make a key manager in `path` unless there is one, and run it for the block; dots in names as `__`."""
    home, clock = Home(path), Clock()
    if not home.config.exists():
        wanted = FREE_PORTS | {name.replace("__", "."): value for name, value in properties.items()}
        copied(path, keys, wanted)
    store = store_type.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    try:
        service = Service(home, Settings.load(home.config), store, clock, os.urandom)
        ports = await service.start()
        with home.announced("server", "test", ports):
            async with connect_async(home.path) as client:
                yield Running(home, service, store, ports, client, clock)
        await service.stop()
    finally:
        store.close()


async def collect(stream: Any) -> Sequence[Any]:
    """Return everything that a stream of answers has."""
    return [answer async for answer in stream]
