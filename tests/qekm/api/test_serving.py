"""ServingService over the wire: a gateway's stream, with drives that do all their arithmetic."""

from __future__ import annotations

import asyncio
from itertools import permutations
from pathlib import Path
from typing import Any

import grpc
import pytest

from qekm.dkp.codes import Ask, Code
from qekm.model import AuditRecord, KeyState
from qekm.v1 import audit_pb2, certificates_pb2, drives_pb2
from qekm.v1.serving_pb2 import GatewayHello, RefusalReport, ServeRequest, SessionEnd, Step
from qekm_gateway.simulator.errand import Refused
from tests.qekm.api.drives_at_work import SOURCE, ForgetfulStore, HeldStore, Site, events, play
from tests.qekm.api.running import Running, running
from tests.waiting import PATIENCE_S, until


async def test_a_key_is_created_and_read_back_and_all_of_it_is_on_disk(run: Running) -> None:
    site = await Site.of(run)
    drive = site.drive()
    async with run.gateway() as gateway:
        await play(gateway, writing := site.asking(drive), steps=2)
        # The key has left: its record was durable before.
        assert list(site.stored().values()) == [KeyState.ASSIGNED]
        assert (await events(run))[-1] == "key.create"
        await play(gateway, writing)
        key = writing.outcome.key
        assert key is not None
        assert writing.outcome.confirmed
        assert site.stored() == {key.alias: KeyState.ACTIVE}
        reading = site.asking(site.drive("001310000363"), Ask.TRANSLATE, dki=key.dki)
        await play(gateway, reading)
        assert reading.outcome.key is not None
        assert reading.outcome.key.material == key.material
    stored = run.store.load()
    assert [each.serial for each in stored.drives] == ["001300000392", "001310000363"]
    assert [use.volser for _, use in run.store.cartridges_page(0, 9)] == ["E01001L4"]
    assert {"key.create", "key.serve", "key.install", "drive.enrol"} <= set(await events(run))


async def test_sixty_four_drives_are_served_in_batches_each_with_a_key_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=80, dkp__connectionsPerAddress="1000") as run:
        site = await Site.of(run)
        askings = [site.asking(site.drive(f"{number:012}")) for number in range(64)]
        async with run.gateway() as gateway:
            await play(gateway, *askings)
        aliases = {asking.outcome.key.alias for asking in askings if asking.outcome.key}
        assert len(aliases) == 64
        assert site.stored() == dict.fromkeys(aliases, KeyState.ACTIVE)


async def test_the_next_batch_is_decided_while_the_former_commits_and_no_third(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=HeldStore) as run:
        assert isinstance(run.store, HeldStore)
        site = await Site.of(run)
        askings = [site.asking(site.drive(f"{number:012}")) for number in range(3)]
        async with run.gateway() as gateway:
            await play(gateway, *askings, steps=1)
            run.store.open_.clear()
            before = run.store.calls
            for asking in askings:
                await gateway.stream.write(ServeRequest(steps=[asking.step(0)]))
            await until(lambda: run.store.calls - before >= 2)
            await asyncio.sleep(0.3)
            assert run.store.calls - before == 2
            answer = asyncio.ensure_future(gateway.read())
            await asyncio.sleep(0.1)
            assert not answer.done()
            run.store.open_.set()
            replies = [await answer, await gateway.read(), await gateway.read()]
            assert all(reply.replies[0].WhichOneof("frame") == "set_key" for reply in replies)


async def test_a_unit_that_is_not_committed_becomes_an_internal_error_and_its_key_is_never_given_again(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", keys=4, store_type=ForgetfulStore) as run:
        assert isinstance(run.store, ForgetfulStore)
        site = await Site.of(run)
        unlucky, other = site.asking(), site.asking(site.drive("001310000363"), Ask.OPTIONAL)
        async with run.gateway() as gateway:
            await play(gateway, unlucky, steps=1)
            run.store.refused = ("key.create",)
            with pytest.raises(Refused) as caught:
                await play(gateway, unlucky)
            assert caught.value.number == Code.EE0F
            (suspect,) = run.service.owners.keystore.in_state(KeyState.SUSPECT)
            run.store.refused = ()
            await play(gateway, other)
            assert other.outcome.key is not None
            assert other.outcome.key.alias != suspect.alias
            assert site.stored()[suspect.alias] is KeyState.SUSPECT


async def test_one_bad_unit_of_a_batch_harms_no_other_step(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=ForgetfulStore) as run:
        assert isinstance(run.store, ForgetfulStore)
        site = await Site.of(run)
        run.store.refused = ("drive.enrol",)
        known, unknown = site.asking(), site.asking(site.drive("001310000363"))
        drive = drives_pb2.Drive(serial="001300000392")
        await run.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drive))
        async with run.gateway() as gateway:
            await play(gateway, known, unknown, steps=2)
            steps = [asking.step(place) for place, asking in enumerate((known, unknown))]
            replies = {reply.step_id: reply for reply in (await gateway.ask(*steps)).replies}
            assert replies[0].WhichOneof("frame") == "complete"
            assert replies[1].error.code == Code.EE0F


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_steps_of_all_kinds_in_one_batch_are_answered_each_with_its_own(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    async with running(tmp_path / "home", store_type=ForgetfulStore) as run:
        assert isinstance(run.store, ForgetfulStore)
        site = await Site.of(run)
        run.store.refused = ("drive.enrol",)  # of the drive that confirms its key
        asking = [site.asking(site.drive(f"00131000036{number}")) for number in range(3)]
        async with run.gateway() as gateway:
            for number, each in enumerate(asking):
                await play(gateway, each, steps=number)
            batch = [asking[number].step(number) for number in order]
            replies = (await gateway.ask(*batch)).replies
        assert [reply.step_id for reply in replies] == list(order)
        told = {reply.step_id: reply for reply in replies}
        assert [told[number].WhichOneof("frame") for number in range(3)] == ["query_dsk", "set_key", "error"]
        assert told[2].error.code == Code.EE0F


async def test_an_unforeseen_exception_in_one_step_is_an_incident_and_the_other_steps_are_served(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    site = await Site.of(run)
    tap = run.service.logs.debugging.tap
    decide = tap.decide

    def fragile(frame: Any, source: str, gateway: str) -> Any:
        if frame.get(0x0101) == b"BROKEN":
            raise RuntimeError("a secret detail")
        return decide(frame, source, gateway)

    tap.decide = fragile
    async with run.gateway() as gateway:
        steps = [
            site.asking(site.drive(serial)).step(n) for n, serial in enumerate(("BROKEN", "001310000363"))
        ]
        replies = (await gateway.ask(*steps)).replies
        assert (replies[0].error.code, replies[0].error.text) == (Code.EE0F, "")
        assert replies[1].WhichOneof("frame") == "query_dsk"
    assert "incident" in caplog.text


async def test_when_a_gateway_leaves_its_sessions_end_and_their_keys_are_suspect(run: Running) -> None:
    site = await Site.of(run)
    async with run.gateway() as gateway:
        await play(gateway, site.asking(), steps=2)
        (alias,) = site.stored()
    while site.stored()[alias] is not KeyState.SUSPECT:
        await asyncio.sleep(0.01)
    assert (await events(run))[-2:] == ["session.end", "key.suspect"]


async def test_the_same_gateways_next_stream_cannot_go_on_with_a_session_of_the_former(run: Running) -> None:
    site = await Site.of(run)
    asking = site.asking()
    async with run.gateway() as first, run.gateway() as second:
        await play(first, asking, steps=1)
        with pytest.raises(Refused) as caught:
            await play(second, asking, steps=1)
        assert caught.value.number == Code.EE2D


async def test_a_session_that_ends_at_the_gateway_is_recorded_with_its_code(run: Running) -> None:
    site = await Site.of(run)
    async with run.gateway() as gateway:
        await play(gateway, asking := site.asking(), steps=2)
        end = SessionEnd(session_id=asking.session_id, source=SOURCE, code=0xEE0E, message="too slow")
        await gateway.stream.write(ServeRequest(session_ends=[end]))
        while "key.suspect" not in await events(run):
            await asyncio.sleep(0.01)
        record = next(each for each in await run.records() if each.event == "session.end")
        assert (record.code, record.message) == ("EE0E", "too slow")
        await play(gateway, asking)
        assert not asking.outcome.confirmed


async def test_what_a_gateway_refused_by_itself_is_counted_a_minute(run: Running) -> None:
    async with run.gateway() as gateway:
        for count in (1, 5_000, 7):
            report = RefusalReport(source="192.0.2.9", code=0xEE23, count=count, drive_serial="junk")
            await gateway.stream.write(ServeRequest(refusals=[report]))
        await run.recorded("drive.refuse")
        await gateway.ask(Step(source=SOURCE))  # the others were read before it; they are in no record yet

        async def told() -> list[AuditRecord]:
            return [each for each in await run.records() if each.event == "drive.refuse"]

        assert [(each.actor, each.code, each.count) for each in await told()] == [
            ("host 192.0.2.9", "EE23", 1)
        ]
        run.clock.ahead_us += 60_000_000
        await run.service.upkeep.tick()
        assert [each.count for each in await told()] == [1, 5_007]


async def test_a_gateway_cannot_have_somebody_elses_name_written_down(run: Running) -> None:
    async with run.gateway() as gateway:
        sources = "administrator/alice", "drive/001300000392", "server", "others", "2001:db8::7"
        reports = [RefusalReport(source=source, code=0xEE23, count=1) for source in sources]
        await gateway.stream.write(ServeRequest(refusals=reports))
        told = {each.actor for each in await run.recorded("drive.refuse", 3)}
        assert told == {"host unknown", "others", "host 2001:db8::/64"}


async def test_a_gateway_that_counts_beyond_all_bounds_harms_nobody(run: Running) -> None:
    async with run.gateway() as gateway:
        report = RefusalReport(source="192.0.2.9", code=0xFFFFFFFF, count=2**32 - 1)
        await gateway.stream.write(ServeRequest(refusals=[report] * 5))
        await run.recorded("drive.refuse")
        await gateway.ask(Step(source=SOURCE))  # the others are in no record yet
        run.clock.ahead_us += 60_000_000
        await run.service.upkeep.tick()
        page = await run.client.audit.ListRecords(
            audit_pb2.ListRecordsRequest(newest_first=True, page_size=2)
        )
        assert [(each.code, each.count) for each in page.records] == [("EE0F", 2**32 - 1)] * 2  # no such code


async def test_codes_that_do_not_exist_are_counted_as_one(run: Running) -> None:
    async with run.gateway() as gateway:
        reports = [RefusalReport(source="192.0.2.9", code=code, count=1) for code in range(1_000)]
        await gateway.stream.write(ServeRequest(refusals=reports))
        assert [each.code for each in await run.recorded("drive.refuse")] == ["EE0F"]


@pytest.mark.parametrize(
    "first",
    [
        ServeRequest(),
        ServeRequest(hello=GatewayHello(version="x" * 1_000)),
        ServeRequest(hello=GatewayHello(version="\x1b[2J")),
        ServeRequest(hello=GatewayHello(addresses=["a:1"] * 100)),
        ServeRequest(hello=GatewayHello(), steps=[Step()] * 65),
    ],
)
async def test_what_no_gateway_of_ours_sends_ends_the_stream(run: Running, first: ServeRequest) -> None:
    async with run.gateway(first) as gateway:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_step_that_no_frame_makes_is_refused_and_the_stream_goes_on(run: Running) -> None:
    async with run.gateway() as gateway:
        for _ in range(2):
            (reply,) = (await gateway.ask(Step(step_id=5, source=SOURCE))).replies
            assert (reply.step_id, reply.error.code) == (5, Code.EE23)


async def test_a_batch_in_hand_is_committed_and_answered_before_a_draining_service_leaves(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", store_type=HeldStore) as run:
        assert isinstance(run.store, HeldStore)
        site = await Site.of(run)
        asking = site.asking()
        async with run.gateway() as gateway:
            await play(gateway, asking, steps=1)
            run.store.open_.clear()
            before = run.store.calls
            await gateway.stream.write(ServeRequest(steps=[asking.step(0)]))
            await until(lambda: run.store.calls > before)
            stopping = asyncio.ensure_future(run.service.stop())
            await asyncio.sleep(0.2)
            run.store.open_.set()
            assert (await gateway.read()).replies[0].WhichOneof("frame") == "set_key"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await asyncio.wait_for(stopping, PATIENCE_S)
            assert list(site.stored().values()) == [KeyState.SUSPECT]


async def test_a_revoked_gateways_stream_ends_at_once_and_its_next_one_is_refused(run: Running) -> None:
    async with run.gateway() as gateway:
        site = await Site.of(run)
        await play(gateway, site.asking(), steps=1)
        listed = await run.client.certificates.ListCertificates(certificates_pb2.ListCertificatesRequest())
        (serial,) = (each.serial for each in listed.certificates if each.name == "gateway")
        request = certificates_pb2.RevokeCertificateRequest(serial=serial)
        await run.client.certificates.RevokeCertificate(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gateway.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with run.gateway() as gateway:
            await gateway.read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    while not (refused := [each for each in await run.records() if each.event == "rpc.refuse"]):
        await asyncio.sleep(0.01)  # nobody waits for this record
    assert [(each.actor, each.code) for each in refused] == [("gateway/gateway", "REVOKED_IDENTITY")]
