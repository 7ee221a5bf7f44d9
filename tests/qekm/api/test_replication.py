"""Two whole services of one estate over mTLS: what one does the other has, and strangers are refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from qekm import keypair
from qekm.errors import PeerRefused, QekmError
from qekm.model import Cursor, Role
from qekm.properties.listeners import SSL_PORT
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Conversation, Own
from qekm.replication.messages import Message
from qekm.rpc.peer import Dialler
from qekm.rpc.tls import Files
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.v1 import groups_pb2, keystore_pb2
from qekm.v1 import peers_pb2 as pb
from qekm.v1.slots_pb2 import Proof
from tests.ports import free_port
from tests.qekm.api.joiners import alone, joined
from tests.qekm.api.running import Running, collect, running

PATIENCE_S = 60.0


@dataclass
class Pair:
    """The first server and the one that joined it."""

    a: Running
    b: Running

    def are_same(self) -> bool:
        """Tell whether both have the same shared rows."""
        return self.a.store.shared[1] == self.b.store.shared[1]


@asynccontextmanager
async def pair(path: Path) -> AsyncIterator[Pair]:
    """Run two servers for the block."""
    async with alone(path / "a") as a:
        await joined(a, path / "b")
        async with running(path / "b") as b:
            made = Pair(a, b)
            await until(lambda: a.service.links.connected and b.service.links.connected)
            await until(made.are_same)
            yield made


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.05)


async def events(run: Running, name: str) -> list[tuple[str, str]]:
    """Return who did it and the code, of all records of an event."""
    return [(each.actor, each.code) for each in await run.records() if each.event == name]


async def told(run: Running, name: str) -> list[tuple[str, str]]:
    """Return the same, as soon as there is one: nobody waits for the record of a refusal."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await events(run, name)):
            await asyncio.sleep(0.05)
    return found


async def test_what_one_service_does_the_other_has(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        a, b = both.a, both.b
        await a.client.groups.CreateGroup(
            groups_pb2.CreateGroupRequest(group=groups_pb2.Group(name="archive"))
        )
        await a.unlock()
        wanted = keystore_pb2.GenerateKeysRequest(count=50, group="archive")
        await collect(a.client.keystore.GenerateKeys(wanted))
        await until(lambda: len(list(b.service.owners.keystore.page(limit=500, group="archive"))) == 50)
        await until(both.are_same)
        answer = await b.client.peers.SyncPeers(pb.SyncPeersRequest())
        (peer,) = answer.peers
        assert peer.connected and not peer.differences and peer.HasField("compare_time")
        # A new version of the record key goes over before what is sealed under it.
        request = keystore_pb2.RotateKeystoreRequest(proof=Proof(key_file=a.home.root_key.read_bytes()))
        await collect(a.client.keystore.RotateKeystore(request))
        await until(lambda: b.store.ring.version == 2 and not b.service.owners.keystore.stale())
        await until(both.are_same)
        assert b.store.load().settings["record.current"] == "2"
        for key in b.service.owners.keystore:
            b.store.ring.open_key(key).wipe()


@pytest.mark.parametrize("away", [False, True], ids=["while it is there", "while it was away"])
async def test_a_server_that_was_removed_gives_no_new_keys(tmp_path: Path, away: bool) -> None:
    async with alone(tmp_path / "a") as a:
        await joined(a, tmp_path / "b")
        async with running(tmp_path / "b") as b:
            await until(lambda: a.service.links.connected and b.service.links.connected)
            assert b.service.owners.keystore.read_only == ""
            if not away:
                await a.client.peers.RemovePeer(pb.RemovePeerRequest(name="b"))
                await until(lambda: bool(b.service.owners.keystore.read_only))
        if away:
            await a.client.peers.RemovePeer(pb.RemovePeerRequest(name="b"))
        async with running(tmp_path / "b") as b:
            await until(lambda: bool(b.service.owners.keystore.read_only))
            assert "removed from the estate" in b.service.owners.keystore.read_only
        assert a.service.owners.keystore.read_only == ""


async def test_who_calls_follows_a_port_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QEKM_PROPERTY_TransportListener_ssl_port", raising=False)
    async with pair(tmp_path) as both:
        a, b = both.a, both.b
        port = free_port()
        await a.service.configuration.update({SSL_PORT: str(port)})
        await until(lambda: b.service.owners.peers.find("server").address == f"localhost:{port}")
        status = b.service.links.status("server")
        assert status is not None
        before = status.error_time_us

        def is_there_again() -> bool:
            now = b.service.links.status("server")
            return now is not None and now.error_time_us > before and now.connected

        await until(is_there_again)
        await a.client.groups.CreateGroup(
            groups_pb2.CreateGroupRequest(group=groups_pb2.Group(name="archive"))
        )
        await until(both.are_same)


async def test_a_service_that_starts_again_goes_on(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as a:
        await joined(a, tmp_path / "b")
        for number in range(3):
            async with running(tmp_path / "b") as b:
                name = f"group{number}"
                await b.client.groups.CreateGroup(
                    groups_pb2.CreateGroupRequest(group=groups_pb2.Group(name=name))
                )
                await until(
                    lambda name=name: name in {group.name for group in a.service.owners.allocator.page()}
                )  # type: ignore[misc]
                await until(lambda b=b: Pair(a, b).are_same())  # type: ignore[misc]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    """Return a service that keeps a journal, and has nobody yet."""
    async with alone(tmp_path / "a") as run:
        await run.store.begin_journal()
        yield run


def credentials(run: Running, role: Role, name: str) -> Files:
    """Return a certificate of the estate's, kept in the home."""
    key = keypair.make_key()
    hosts = ["localhost"] if role is Role.SERVER else []
    issued, _ = run.service.owners.certificates.issue(key.public_key(), role, name, hosts, 1)
    run.home.key(name).write_bytes(keypair.dump_key(key))
    run.home.certificate(name).write_bytes(issued.pem)
    return Files(run.home.certificate(name), run.home.key(name), run.home.trust)


def hello(run: Running, name: str, ring: KeyRing) -> Message:
    """Return what a server says that has a ring."""
    own = Own(name, b"i" * 8, 1, "9", "9", tables_of_store(), blank_of_store)
    return Conversation(own, ring, os.urandom(32), Cursor("", b"", 0), calling=True).hello()


async def call(run: Running, files: Files, message: Message) -> Message | None:
    """Call the service as a server does, say something and return the answer; a QekmError."""
    async with Dialler(files)(f"localhost:{run.ports['ssl']}") as pipe:
        await pipe.send(message)
        while (answer := await asyncio.wait_for(pipe.receive(), 20)) is not None:
            last = answer
        return last


@pytest.mark.parametrize("has_root", [True, False])
async def test_a_server_of_our_authority_that_is_not_enrolled_is_refused(
    run: Running, has_root: bool
) -> None:
    files = credentials(run, Role.SERVER, "rogue")
    ring = run.store.ring if has_root else KeyRing(Secret(b"x" * 32), run.store.estate_id)
    with pytest.raises(PeerRefused, match="no other server" if has_root else "root key"):
        await call(run, files, hello(run, "rogue", ring))
    assert await told(run, "peer.refuse") == [("server/rogue", "PEER_REFUSED")]
    assert await events(run, "rpc.refuse") == []
    assert run.service.links.refused == 1


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.GATEWAY, Role.CANDIDATE])
async def test_who_is_no_server_is_refused_by_the_guard(run: Running, role: Role) -> None:
    files = credentials(run, role, "mallory")
    with pytest.raises(QekmError):
        await call(run, files, hello(run, "mallory", run.store.ring))
    assert (await told(run, "rpc.refuse"))[0][0] == f"{role.name.lower()}/mallory"
    assert await events(run, "peer.refuse") == []
