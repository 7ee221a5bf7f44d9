"""The end of keys over the wire, with two real certificates where two people are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qekm import keypair
from qekm.api.endings import MOST
from qekm.client import AsyncClient, connect_async
from qekm.errors import BadArgument, KeyInUse, SameSubject, UnknownKey
from qekm.model import Backup, BackupState, KeyState
from qekm.store import Store
from qekm.store.plan import Unit
from qekm.v1 import approvals_pb2
from qekm.v1 import keystore_pb2 as pb
from qekm.v1.certificates_pb2 import RenewCertificateRequest
from qekm.v1.server_pb2 import GetStatusRequest
from tests.qekm.api.people import grant, two, waiting
from tests.qekm.api.running import Running, running
from tests.waiting import until

DAY_US = 86_400 * 1_000_000
WEEK_US = 7 * DAY_US
ADMINISTRATOR = "administrator/administrator"


async def aliases(run: Running, count: int = 3) -> list[str]:
    """Return the first aliases there are."""
    return [
        key.alias for key in (await run.client.keystore.ListKeys(pb.ListKeysRequest(page_size=count))).keys
    ]


def states(keys: Any) -> list[str]:
    """Return the states of messages."""
    return [KeyState(key.state).name for key in keys]


def destroy(client: AsyncClient, *names: str) -> Any:
    """Ask for the destruction of keys."""
    return client.keystore.DestroyKeys(pb.DestroyKeysRequest(aliases=names))


async def test_keys_are_deactivated_and_compromised_each_with_a_record(run: Running) -> None:
    first, second, third = await aliases(run)
    client = run.client.keystore
    compromised = await client.CompromiseKeys(
        pb.CompromiseKeysRequest(aliases=[first.lower(), second], reason="a tape was sold")
    )
    assert states(compromised.keys) == ["COMPROMISED"] * 2
    assert [key.alias for key in compromised.keys] == [first, second]
    keystore = run.service.owners.keystore
    keystore.assign(keystore.by_alias(third), 1, ("1", b"", ""))
    await run.store.commit([keystore.mark(keystore.by_alias(third), KeyState.ACTIVE)])
    assert states((await client.DeactivateKeys(pb.DeactivateKeysRequest(aliases=[third]))).keys) == [
        "PROCESS_ONLY"
    ]
    told = [
        (record.event, record.actor, record.alias, record.message)
        for record in await run.records()
        if record.event.startswith(("key.", "rpc."))
    ]
    assert told == [
        ("key.compromise", ADMINISTRATOR, first, "a tape was sold"),
        ("key.compromise", ADMINISTRATOR, second, "a tape was sold"),
        (
            "rpc.CompromiseKeys",
            ADMINISTRATOR,
            first,
            f"2 keys: {first}, {second}: a tape was sold",
        ),
        ("key.deactivate", ADMINISTRATOR, third, ""),
        ("rpc.DeactivateKeys", ADMINISTRATOR, third, f"1 key: {third}"),
    ]


async def test_all_of_a_call_or_none(run: Running) -> None:
    first, second, _ = await aliases(run)
    client = run.client.keystore
    with pytest.raises(UnknownKey):
        await client.CompromiseKeys(pb.CompromiseKeysRequest(aliases=[first, "nothing"]))
    with pytest.raises(KeyInUse, match="READY"):
        await client.DeactivateKeys(pb.DeactivateKeysRequest(aliases=[first]))
    await client.CompromiseKeys(pb.CompromiseKeysRequest(aliases=[second]))
    with pytest.raises(KeyInUse):
        await client.CompromiseKeys(pb.CompromiseKeysRequest(aliases=[first, second]))
    with pytest.raises(KeyInUse, match="not about to be destroyed"):
        await client.KeepKeys(pb.KeepKeysRequest(aliases=[first]))
    for names in ([], ["x"] * (MOST + 1)):
        with pytest.raises(BadArgument, match="a call takes 1 to 10,000"):
            await client.CompromiseKeys(pb.CompromiseKeysRequest(aliases=names))
    with pytest.raises(BadArgument, match="reason"):
        await client.CompromiseKeys(pb.CompromiseKeysRequest(aliases=[first], reason="two\nlines"))
    assert states((await client.ListKeys(pb.ListKeysRequest(page_size=2))).keys) == ["READY", "COMPROMISED"]


async def test_a_destruction_takes_two_waits_and_can_be_called_off(run: Running) -> None:
    first, second, _ = await aliases(run)
    async with two(run) as (alice, bob):
        request = await waiting(destroy(alice, first, second))
        with pytest.raises(SameSubject):
            await grant(alice, request)
        assert await waiting(destroy(alice, second, first)) == request, "the order says nothing"
        assert (await grant(bob, request)).decider == "custodian/bob"
        gone = await destroy(alice, first, second)
        assert states(gone.keys) == ["DESTROY_PENDING"] * 2
        due_us = gone.keys[0].destroy_time.ToMicroseconds()
        assert 0 <= run.clock() + WEEK_US - due_us < 60_000_000
        kept = await alice.keystore.KeepKeys(pb.KeepKeysRequest(aliases=[first, second]))
        assert states(kept.keys) == ["QUARANTINED"] * 2, "they were never given, and they never will be"
        assert not kept.keys[0].HasField("destroy_time")
        assert await waiting(destroy(alice, first, second)) != request, "an approval is used once"
    records = {(record.event, record.alias): record.message for record in await run.records()}
    assert records["key.condemn", first].startswith("to be destroyed on 20")
    assert records["key.condemn", second].endswith(f"; approved by custodian/bob, request {request}")
    assert records["key.keep", first] == ""
    trail = [record.event for record in await run.records()]
    assert trail.index("rpc.GrantApproval") < trail.index("key.condemn")


async def test_an_approval_is_for_these_keys_and_this_waiting_time(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        first, second, _ = await aliases(run)
        async with two(run) as (alice, bob):
            request = await waiting(destroy(alice, first))
            await grant(bob, request)
            assert await waiting(destroy(alice, second)) != request
            assert await waiting(destroy(alice, first, second)) != request
            assert await waiting(destroy(bob, first)) != request, "bob's own is not alice's"
    config = run.home.config
    config.write_text(config.read_text().replace("keystore.destroyDays=7", "keystore.destroyDays=1"))
    async with running(tmp_path / "home") as run:
        assert await waiting(destroy(run.client, first)) != request


async def test_an_approval_ends_after_a_day(run: Running) -> None:
    first, *_ = await aliases(run)
    async with two(run) as (alice, bob):
        request = await waiting(destroy(alice, first))
        await grant(bob, request)
        run.clock.ahead_us += DAY_US
        assert await waiting(destroy(alice, first)) != request


async def test_a_renewed_certificate_of_the_same_person_does_not_approve(run: Running) -> None:
    first, *_ = await aliases(run)
    async with two(run) as (alice, _bob):
        request = await waiting(destroy(alice, first))
        key = keypair.load_key(run.home.key("administrator").read_bytes())
        renewed = await alice.certificates.RenewCertificate(
            RenewCertificateRequest(csr=keypair.make_request(key))
        )
        run.home.certificate("administrator").write_bytes(renewed.pem)
        async with connect_async(run.home.path) as again:
            with pytest.raises(SameSubject, match="administrator/administrator asked for this"):
                await grant(again, request)


async def test_nothing_of_it_is_said_where_two_are_needed(run: Running) -> None:
    status = await run.client.server.GetStatus(GetStatusRequest())
    assert not [line for line in status.degraded if "twoPerson=off" in line]
    assert not [record for record in await run.records() if "twoPerson" in record.message]
    assert (await run.client.keystore.GetKeystore(pb.GetKeystoreRequest())).two_person


async def test_what_is_wrong_is_told_before_anybody_is_asked(run: Running) -> None:
    with pytest.raises(UnknownKey):
        await destroy(run.client, "nothing")
    listed = await run.client.approvals.ListApprovals(approvals_pb2.ListApprovalsRequest(all=True))
    assert not listed.approvals


def backup(name: str, created_seq: int, state: BackupState = BackupState.VERIFIED) -> Backup:
    return Backup(name, 1, 1, created_seq, created_seq, 1, 1, bytes(32), "/b", True, state)


async def test_the_backups_that_still_hold_a_key_are_told(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        names = await aliases(run, 10)
        for each in (
            backup("before", 4),
            backup("exactly", 5),
            backup("unproved", 9, BackupState.CREATED),
            backup("removed", 9, BackupState.REMOVED),
        ):
            run.service.owners.backups.put(each)
        told = await destroy(run.client, names[9], names[4])
        assert list(told.backups) == ["exactly", "unproved"]


async def test_one_person_is_enough_where_the_configuration_says_so_and_every_record_says_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        first, *_ = await aliases(run)
        assert states((await destroy(run.client, first)).keys) == ["DESTROY_PENDING"]
        records = {record.event: record.message for record in await run.records()}
        for event in ("key.condemn", "rpc.DestroyKeys"):
            assert records[event].endswith("; twoPerson=off")
        assert records["server.start"].endswith("; twoPerson=off")
        status = await run.client.server.GetStatus(GetStatusRequest())
        assert "one person may destroy, export and restore: twoPerson=off" in status.degraded


class Slow(Store):
    """Commits nothing more once it is told so, or never tells that it did, as if the process had died."""

    dead = mute = False

    async def commit(self, changes: Unit) -> None:
        """Commit, or never return."""
        if self.dead:
            await asyncio.Event().wait()
        await super().commit(changes)
        if self.mute:
            await asyncio.Event().wait()


async def test_a_request_that_was_filed_before_a_crash_is_there_and_no_second_one(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=Slow) as run:
        assert isinstance(run.store, Slow)
        first, *_ = await aliases(run)
        run.store.mute = True
        asked = asyncio.ensure_future(destroy(run.client, first))
        await until(lambda: run.store.load().approvals)
        (filed,) = run.store.load().approvals
        await asyncio.wait([asked], timeout=0.5)
        assert not asked.done(), "it was filed, and the answer never left"
        asked.cancel()
        run.store.mute = False
    async with running(tmp_path / "home") as run:
        assert await waiting(destroy(run.client, first)) == filed.approval_id


async def test_an_approval_outlives_a_restart_and_its_use_does_too(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        first, *_ = await aliases(run)
        async with two(run) as (alice, bob):
            request = await waiting(destroy(alice, first))
            await grant(bob, request)
    async with running(tmp_path / "home") as run:
        assert states((await destroy(run.client, first)).keys) == ["DESTROY_PENDING"]
        await run.client.keystore.KeepKeys(pb.KeepKeysRequest(aliases=[first]))
    async with running(tmp_path / "home") as run:
        assert await waiting(destroy(run.client, first)) != request


async def test_an_answer_never_leaves_before_its_request_is_on_the_disk(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=Slow) as run:
        assert isinstance(run.store, Slow)
        first, *_ = await aliases(run)
        run.store.dead = True
        asked = [asyncio.ensure_future(destroy(run.client, first)) for _ in range(2)]
        done, _ = await asyncio.wait(asked, timeout=0.5)
        assert not done, "neither the first nor who asks the same meanwhile"
        assert run.store.load().approvals == []
        for each in asked:
            each.cancel()
        run.store.dead = False
        request = await waiting(destroy(run.client, first))
        assert [each.approval_id for each in run.store.load().approvals] == [request]
