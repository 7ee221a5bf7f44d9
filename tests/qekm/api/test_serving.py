"""ServingService over the wire: a gateway's stream, with drives that do all their arithmetic."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome, Refused

from qekm.dkp.codes import Ask, Code
from qekm.dkp.frame import parse, serialize
from qekm.errors import Incident, QekmError
from qekm.model import AuditRecord, Change, KeyState
from qekm.rpc.frames import frame_of_reply, to_step
from qekm.service import clock_us
from qekm.store import Store
from qekm.v1 import certificates_pb2, drives_pb2
from qekm.v1.serving_pb2 import GatewayHello, RefusalReport, Reply, ServeRequest, SessionEnd, Step
from tests.qekm.api.running import Gateway, Running, running

SOURCE = "192.0.2.7:40000"
Unit = Sequence[Change]


@dataclass
class Asking:
    """One drive's session as a gateway sees it: steps out, replies in."""

    session: Session
    raw: bytes | None = None
    session_id: int = 0
    step_ids: list[int] = field(default_factory=list)

    def step(self, step_id: int) -> Step:
        """Return the drive's next frame as a step."""
        self.raw = self.raw or self.session.begin()
        return to_step(parse(self.raw), step_id, SOURCE)

    def take(self, reply: Reply) -> None:
        """Give the drive its answer; Refused for an error."""
        self.session_id = reply.session_id
        self.raw = self.session.receive(serialize(frame_of_reply(reply)))

    @property
    def outcome(self) -> Outcome:
        """Return how the session ended."""
        assert self.session.outcome is not None
        return self.session.outcome


@dataclass
class Site:
    """A service, a trusted drive authority and what drives believe."""

    run: Running
    authority: Authority
    anchors: Anchors

    @classmethod
    async def of(cls, run: Running) -> Site:
        """Trust a new authority."""
        authority = make_authority(clock_us())
        der = authority.certificate.public_bytes(Encoding.DER)
        await run.client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
        anchor = run.service._owners.estate.anchor  # noqa: SLF001
        return cls(run, authority, Anchors((anchor,)))

    def drive(self, serial: str = "001300000392") -> Drive:
        """Make a drive."""
        return make_drive(self.authority, serial, clock_us())

    def asking(self, drive: Drive | None = None, ask: Ask = Ask.CREATE, **fields: Any) -> Asking:
        """Begin a session of a drive."""
        errand = Errand(ask, volser="E01001L4", **({"mount_id": os.urandom(16)} | fields))
        return Asking(Session(drive or self.drive(), errand, self.anchors, os.urandom, clock_us))

    def key(self, alias: str) -> Any:
        """Return a key as it is in memory."""
        return self.run.service._owners.keystore.by_alias(alias)  # noqa: SLF001

    def stored(self) -> dict[str, KeyState]:
        """Return the state of every key that was used, as it is on disk."""
        keys = self.run.store.load().keys
        return {key.alias: key.state for key in keys if key.state is not KeyState.READY}


async def play(gateway: Gateway, *askings: Asking, steps: int = 9) -> None:
    """Carry sessions side by side, each batch with one step of each, until they end or `steps` are done."""
    for number in range(steps):
        going = [asking for asking in askings if number == 0 or asking.raw is not None]
        if not going:
            return
        replies = (await gateway.ask(*(asking.step(place) for place, asking in enumerate(going)))).replies
        assert sorted(reply.step_id for reply in replies) == list(range(len(going)))
        for reply in replies:
            going[reply.step_id].take(reply)


async def events(run: Running) -> list[str]:
    """Return the trail's events."""
    return [record.event for record in await run.records()]


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


class HeldStore(Store):
    """Commits at once, but tells of it only when the test lets it; counts the calls."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.open_ = asyncio.Event()
        self.open_.set()
        self.calls = 0

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[list[QekmError | None]]:
        """Commit, and answer when the gate is open."""
        self.calls += 1
        return asyncio.ensure_future(self._held(super().submit(units)))

    async def _held(self, inner: asyncio.Future[Any]) -> Any:
        result = await inner
        await self.open_.wait()
        return result


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
            await asyncio.sleep(0.3)
            assert run.store.calls - before == 2
            answer = asyncio.ensure_future(gateway.read())
            await asyncio.sleep(0.1)
            assert not answer.done()
            run.store.open_.set()
            replies = [await answer, await gateway.read(), await gateway.read()]
            assert all(reply.replies[0].WhichOneof("frame") == "set_key" for reply in replies)


class ForgetfulStore(Store):
    """Refuses the units that hold a record of these events, as for a row that cannot be."""

    refused: tuple[str, ...] = ()

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[list[QekmError | None]]:
        """Commit the other units only."""
        bad = [any(getattr(change, "event", "") in self.refused for change in unit) for unit in units]
        inner = super().submit([unit for unit, is_bad in zip(units, bad, strict=True) if not is_bad])
        return asyncio.ensure_future(self._mixed(inner, bad))

    async def _mixed(self, inner: asyncio.Future[Any], bad: Iterable[bool]) -> Any:
        results = iter(await inner)
        return [Incident("internal error") if is_bad else next(results) for is_bad in bad]


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
            (suspect,) = run.service._owners.keystore.in_state(KeyState.SUSPECT)  # noqa: SLF001
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


async def test_an_unforeseen_exception_in_one_step_is_an_incident_and_the_other_steps_are_served(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    site = await Site.of(run)
    serving = run.service._owners.serving  # noqa: SLF001
    decide = serving.decide

    def fragile(frame: Any, source: str, gateway: str) -> Any:
        if frame.get(0x0101) == b"BROKEN":
            raise RuntimeError("a secret detail")
        return decide(frame, source, gateway)

    serving.decide = fragile  # type: ignore[method-assign]
    async with run.gateway() as gateway:
        steps = [site.asking(site.drive(serial)).step(n) for n, serial in enumerate(("BROKEN", "001310000363"))]
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
        await asyncio.sleep(0.2)

        async def told() -> list[AuditRecord]:
            return [each for each in await run.records() if each.event == "drive.refuse"]

        assert [(each.actor, each.code, each.count) for each in await told()] == [("192.0.2.9", "EE23", 1)]
        run.clock.ahead_us += 60_000_000
        await run.service._upkeep.tick()  # noqa: SLF001
        assert [each.count for each in await told()] == [1, 5_007]


@pytest.mark.parametrize(
    "first",
    [
        ServeRequest(),
        ServeRequest(hello=GatewayHello(version="x" * 1_000)),
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
            await gateway.stream.write(ServeRequest(steps=[asking.step(0)]))
            await asyncio.sleep(0.2)
            stopping = asyncio.ensure_future(run.service.stop())
            await asyncio.sleep(0.2)
            run.store.open_.set()
            assert (await gateway.read()).replies[0].WhichOneof("frame") == "set_key"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.stream.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await asyncio.wait_for(stopping, 5)
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
    refused = [each for each in await run.records() if each.event == "rpc.refuse"]
    assert [(each.actor, each.code) for each in refused] == [("gateway/gateway", "REVOKED_IDENTITY")]
