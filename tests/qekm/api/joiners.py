"""Servers that ask to be let in, in the test's own event loop or, as a real one, with a home of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from grpc import aio

from qekm import keypair, pki
from qekm.home import Home
from qekm.invitation import Invitation
from qekm.joining import Joined, Wanted, join
from qekm.rpc.channel import open_async_channel
from qekm.rpc.joining import ask
from qekm.signing import spki_sha256
from qekm.v1 import peers_pb2 as pb
from qekm.v1.peers_pb2_grpc import PeersServiceStub
from qekm.v1.slots_pb2 import Proof
from qekm.welcome import Welcome, public
from tests.qekm.api.running import FREE_PORTS, Running, running


@asynccontextmanager
async def alone(path: Path, two_person: str = "off") -> AsyncIterator[Running]:
    """Run the only server of its estate in `path` for the block."""
    async with running(path, keys=8, twoPerson=two_person) as run:
        yield run


async def invited(run: Running, name: str = "b") -> Invitation:
    """Return an invitation."""
    request = pb.InvitePeerRequest(
        name=name,
        hosts=["ekm2.example"],
        address="ekm2.example:443",
        own_address=f"localhost:{run.ports['ssl']}",
    )
    return Invitation.parse((await run.client.peers.InvitePeer(request)).invitation)


def proof(run: Running) -> Proof:
    """Return what opens the keystore."""
    return Proof(key_file=run.home.root_key.read_bytes())


async def accept(run: Running, fingerprint: bytes, name: str = "b") -> pb.Peer:
    """Let a server in."""
    request = pb.AcceptPeerRequest(name=name, spki_sha256=fingerprint, proof=proof(run))
    return (await run.client.peers.AcceptPeer(request)).peer


@dataclass
class Joiner:
    """A server's end of JoinEstate, with what it shows."""

    stub: PeersServiceStub
    key: keypair.PrivateKey = field(default_factory=keypair.make_key)
    wrapping: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    call: aio.UnaryStreamCall[pb.JoinEstateRequest, pb.JoinEstateResponse] | None = None

    @property
    def fingerprint(self) -> bytes:
        """Return the SHA-256 of its key."""
        return spki_sha256(self.key.public_key())

    async def wait(self) -> None:
        """Ask, and return when it waits."""
        request = pb.JoinEstateRequest(
            certificate_request=keypair.make_request(self.key), wrapping_key=public(self.wrapping)
        )
        self.call = self.stub.JoinEstate(request)
        assert isinstance(await asyncio.wait_for(self.call.read(), 20), pb.JoinEstateResponse)

    async def rest(self) -> list[pb.JoinEstateResponse]:
        """Return everything that comes until the call ends; AioRpcError."""
        assert self.call is not None
        answers = []
        while isinstance(answer := await asyncio.wait_for(self.call.read(), 20), pb.JoinEstateResponse):
            answers.append(answer)
        return answers


@asynccontextmanager
async def joiner(invitation: Invitation) -> AsyncIterator[Joiner]:
    """Connect with an invitation for the block."""
    credentials = grpc.ssl_channel_credentials(
        pki.pem(invitation.server), invitation.key.reveal(), pki.pem(invitation.certificate)
    )
    async with open_async_channel(invitation.address, credentials) as channel:
        yield Joiner(PeersServiceStub(channel))


async def joined(
    run: Running, path: Path, name: str = "b", properties: Mapping[str, str] | None = None
) -> Joined:
    """Make the home of a further server in `path`, accepted as soon as it waits."""
    invitation, loop = await invited(run, name), asyncio.get_running_loop()
    shown: asyncio.Future[bytes] = loop.create_future()

    def asking(request: bytes, wrapping_key: bytes) -> Welcome:
        """Ask, and have the test know when it waits."""
        key = spki_sha256(pki.read_request(request))

        def waits() -> None:
            """Tell the test which key it is."""
            loop.call_soon_threadsafe(lambda: shown.done() or shown.set_result(key))

        return ask(invitation, request, wrapping_key, waits)

    wanted = Wanted(invitation, FREE_PORTS | dict(properties or {}))
    made = asyncio.create_task(
        asyncio.to_thread(join, Home(path), wanted, lambda _key: None, asking, run.clock)
    )
    await asyncio.wait([made, shown], return_when=asyncio.FIRST_COMPLETED)
    if not made.done():
        await accept(run, shown.result(), name)
    return await made
