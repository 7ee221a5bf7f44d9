"""How a server comes into the estate and goes: who may, what is handed over, and what is recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from grpc import aio

from qekm.client import connect_async
from qekm.errors import (
    BadArgument,
    BadPassword,
    NoPeer,
    NotWaiting,
    PeerAway,
    PeerExists,
    PeerRefused,
    SameSubject,
    UnknownApproval,
    UnknownPeer,
)
from qekm.model import Outcome, Role
from qekm.rpc.status import from_rpc_error
from qekm.v1 import peers_pb2 as pb
from qekm.v1.slots_pb2 import Proof
from tests.qekm.api.joiners import accept, alone, invited, joiner, proof
from tests.qekm.api.people import grant, have, person
from tests.qekm.api.running import Running


async def peers_of(run: Running) -> dict[str, pb.Peer]:
    """Return the servers that are listed, by name."""
    return {peer.name: peer for peer in (await run.client.peers.ListPeers(pb.ListPeersRequest())).peers}


async def events(run: Running, *names: str) -> list[tuple[str, str, Outcome]]:
    """Return what the trail has of some events: who, which, how."""
    return [(each.actor, each.event, each.outcome) for each in await run.records() if each.event in names]


async def test_an_estate_of_one_lists_nobody_and_compares_with_nobody(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        assert await peers_of(run) == {}
        with pytest.raises(NoPeer):
            await run.client.peers.SyncPeers(pb.SyncPeersRequest())


async def test_an_invited_server_waits_and_is_welcomed_once_somebody_accepts(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        invitation = await invited(run)
        async with joiner(invitation) as b:
            await b.wait()
            waiting = (await peers_of(run))["b"]
            assert (waiting.waiting, waiting.spki_sha256) == (True, b.fingerprint)
            peer = await accept(run, b.fingerprint)
            *_, last = await b.rest()
            assert last.welcome.estate_id == run.store.estate_id
            assert peer.state == pb.PEER_STATE_JOINED
            assert len(peer.instance) == 8
            with pytest.raises(
                aio.AioRpcError
            ) as caught:  # the certificate of the invitation is worth nothing
                await b.wait()
            assert from_rpc_error(caught.value, "").reason() == "REVOKED_IDENTITY"
        kept = [each for each in run.service.owners.certificates if each.name == "b"]
        assert {(each.role, bool(each.revoke_time_us)) for each in kept} == {
            (Role.CANDIDATE, True),
            (Role.SERVER, False),
        }
        assert await events(run, "peer.join", "peer.accept", "rpc.AcceptPeer", "rpc.InvitePeer") == [
            ("administrator/administrator", "rpc.InvitePeer", Outcome.SUCCESS),
            ("candidate/b", "peer.join", Outcome.INTENT),
            ("administrator/administrator", "rpc.AcceptPeer", Outcome.SUCCESS),
            ("administrator/administrator", "peer.accept", Outcome.SUCCESS),
        ]


async def test_nothing_of_the_root_key_is_in_the_welcome_that_others_could_read(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        async with joiner(await invited(run)) as b:
            await b.wait()
            await accept(run, b.fingerprint)
            *_, last = await b.rest()
        sent = last.SerializeToString()
        vault = next(row for row in run.store.journal_of(["vaults"]) if row.key == "ca")
        assert vault.values[1] in sent  # sealed, as on the disk
        assert b"audit" not in {row.values[0].text.encode() for row in last.welcome.rows}
        assert run.home.root_key.read_bytes() not in sent


async def test_an_invitation_of_a_day_ago_lets_nobody_in(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        async with joiner(await invited(run)) as b:
            await b.wait()
            run.clock.ahead_us += 86_400_000_001
            with pytest.raises(NotWaiting):
                await accept(run, b.fingerprint)
        await invited(run)  # the name is free again


async def test_who_shows_another_key_than_the_one_that_was_read_out_is_not_let_in(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        async with joiner(await invited(run)) as b:
            await b.wait()
            with pytest.raises(PeerRefused):
                await accept(run, bytes(32))
            assert (await peers_of(run))["b"].waiting
        await run.store.commit([])  # behind the record
        assert ("administrator/administrator", "rpc.refuse", Outcome.FAILURE) in await events(
            run, "rpc.refuse"
        )


async def test_a_second_one_with_the_invitation_is_refused_and_the_same_one_may_come_again(
    tmp_path: Path,
) -> None:
    async with alone(tmp_path / "a") as run:
        invitation = await invited(run)
        async with joiner(invitation) as b, joiner(invitation) as other:
            await b.wait()
            with pytest.raises(aio.AioRpcError) as caught:
                await other.wait()
            assert isinstance(from_rpc_error(caught.value, ""), PeerRefused)
            other.key = b.key
            await other.wait()  # its link broke
            with pytest.raises(aio.AioRpcError):
                await b.rest()
            await accept(run, b.fingerprint)
            assert (await other.rest())[-1].HasField("welcome")


async def test_a_removed_invitation_ends_the_call_that_waits(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        async with joiner(await invited(run)) as b:
            await b.wait()
            await run.client.peers.RemovePeer(pb.RemovePeerRequest(name="b"))
            with pytest.raises(aio.AioRpcError) as caught:
                await b.rest()
            assert from_rpc_error(caught.value, "").reason() == "REVOKED_IDENTITY"
        assert "b" not in await peers_of(run)
        with pytest.raises(UnknownPeer):
            await accept(run, b.fingerprint)


async def test_who_does_not_open_the_keystore_lets_nobody_in(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run, joiner(await invited(run)) as b:
        await b.wait()
        wrong = pb.AcceptPeerRequest(name="b", spki_sha256=b.fingerprint, proof=Proof(key_file=bytes(32)))
        with pytest.raises(BadPassword):
            await run.client.peers.AcceptPeer(wrong)
        assert (await peers_of(run))["b"].state == pb.PEER_STATE_INVITED


async def test_one_that_goes_away_while_it_is_let_in_is_none_of_the_estate(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        async with joiner(await invited(run)) as b:
            await b.wait()
            opening = asyncio.create_task(accept(run, b.fingerprint))
            assert b.call is not None
            while not run.service.owners.peers.others:
                await asyncio.sleep(0)
            b.call.cancel()
            try:
                await opening  # it was faster
            except PeerAway:
                assert run.service.owners.peers.others == []
                assert all(
                    each.revoke_time_us for each in run.service.owners.certificates if each.name == "b"
                )
        with pytest.raises((NotWaiting, UnknownPeer)):
            await accept(run, b.fingerprint)


async def test_who_leaves_while_a_server_is_let_in_leaves_no_half_of_it(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run, joiner(await invited(run)) as b:
        await b.wait()
        opening = asyncio.create_task(accept(run, b.fingerprint))
        while not run.service.owners.peers.others:
            await asyncio.sleep(0)
        opening.cancel()
        assert (await b.rest())[-1].HasField("welcome")
        while not await events(run, "peer.accept"):
            await asyncio.sleep(0.05)
        assert await events(run, "peer.accept") == [
            ("administrator/administrator", "peer.accept", Outcome.SUCCESS)
        ]
        assert (await peers_of(run))["b"].state == pb.PEER_STATE_JOINED


@pytest.mark.parametrize("name", ["server", "a/b", ""])
async def test_what_cannot_be_a_server_s_name_is_not_invited(tmp_path: Path, name: str) -> None:
    async with alone(tmp_path / "a") as run:
        with pytest.raises((PeerExists, BadArgument)):
            await invited(run, name)
        assert not run.store.journaling


async def test_a_server_that_nothing_tells_the_way_to_has_to_be_told(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        with pytest.raises(BadArgument, match="nothing tells how another server reaches this one"):
            await run.client.peers.InvitePeer(pb.InvitePeerRequest(name="b"))
        with pytest.raises(BadArgument, match="ekm1 is no name in this server's certificate") as caught:
            await run.client.peers.InvitePeer(pb.InvitePeerRequest(name="b", own_address="ekm1:443"))
        assert "localhost" in caught.value.advice
        with pytest.raises(BadArgument, match="is not HOST:PORT"):
            await run.client.peers.InvitePeer(pb.InvitePeerRequest(name="b", own_address="ekm1"))


async def test_with_two_people_one_invites_and_another_lets_in(tmp_path: Path) -> None:
    async with alone(tmp_path / "a", two_person="on") as run:
        await have(run.client, run, Role.CUSTODIAN, "bob")
        run.clock.ahead_us += 60_000_000
        invitation = await invited(run)
        async with joiner(invitation) as b:
            await b.wait()
            with pytest.raises(SameSubject):
                await accept(run, b.fingerprint)
            (asked,) = [each for each in run.service.owners.approvals.page() if each.action == "peer"]
            async with person(run, "bob") as bob:
                await grant(bob, asked.approval_id)
            await accept(run, b.fingerprint)
        assert "b" in {peer.name for peer in run.service.owners.peers.others}


async def test_a_second_administrator_may_let_in_what_another_invited(tmp_path: Path) -> None:
    async with alone(tmp_path / "a", two_person="on") as run:
        await have(run.client, run, Role.ADMINISTRATOR, "alice")
        run.clock.ahead_us += 60_000_000
        async with joiner(await invited(run)) as b:
            await b.wait()
            request = pb.AcceptPeerRequest(name="b", spki_sha256=b.fingerprint, proof=proof(run))
            async with connect_async(run.home.path, identity="alice") as alice:
                await alice.peers.AcceptPeer(request)
        told = [each.message for each in await run.records() if each.event == "rpc.AcceptPeer"]
        assert "invited by administrator/administrator" in told[-1]


async def test_a_refused_request_lets_nobody_in(tmp_path: Path) -> None:
    async with alone(tmp_path / "a", two_person="on") as run, joiner(await invited(run)) as b:
        await b.wait()
        approvals = run.service.owners.approvals
        (asked,) = approvals.page()
        await run.store.commit([approvals.refuse(asked.approval_id, "custodian/bob")])
        with pytest.raises(UnknownApproval):
            await accept(run, b.fingerprint)
