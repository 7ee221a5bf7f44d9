"""The link against a real gRPC service: batches, time, loss and return."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

import qekm.rpc  # noqa: F401

# isort: split
from grpc import aio

from qekm.distribution import SECONDS, Distribution
from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import parse
from qekm.rpc.channel import CLIENT_OPTIONS
from qekm.v1.serving_pb2 import (
    ConfigureCommand,
    ConfigureReport,
    DiagnoseCommand,
    DiagnoseReport,
    GatewayHello,
    Reply,
    ServeRequest,
    ServeResponse,
)
from qekm_gateway.faults import LOST, Incidents
from qekm_gateway.link import Configure, Link
from qekm_gateway.services import Service
from tests.dkp.material import raw, required
from tests.fakes.serving_service import Running, ServingService
from tests.waiting import PATIENCE_S, until

FRAME = parse(raw(0x01, required(0x01)))


class Drive:
    """Waits for replies and keeps them with their time."""

    def __init__(self) -> None:
        self.replies: list[Reply | None] = []
        self.times: list[float] = []

    def answered(self, reply: Reply | None) -> None:
        self.replies.append(reply)
        self.times.append(time.monotonic())


def dial(port: int) -> aio.Channel:
    return aio.insecure_channel(f"127.0.0.1:{port}", options=list(CLIENT_OPTIONS))


def _nothing(_command: ConfigureCommand, _report: Callable[[ConfigureReport], None]) -> None:
    pass


@contextlib.asynccontextmanager
async def linked(
    port: Callable[[], int],
    commands: list[DiagnoseCommand] | None = None,
    configure: Configure | None = None,
    patience: float = 0.5,
) -> AsyncIterator[Link]:
    incidents = Incidents()
    hello = GatewayHello(version="1.2.3", addresses=["127.0.0.1:3801"], pid=7)
    told = commands if commands is not None else []
    services = [Service("local", lambda: dial(port()))]
    answers = Distribution(SECONDS)
    link = Link(services, lambda: hello, incidents, told.append, configure or _nothing, answers)
    link.start()
    try:
        yield link
    finally:
        await link.close(patience)
    assert incidents.count == 0


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Running]:
    running = Running(ServingService())
    await running.start()
    try:
        yield running
    finally:
        running.service.going.set()
        await running.stop()


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


async def test_hello_comes_first_and_each_step_gets_its_reply(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        drives = [Drive() for _ in range(5)]
        ids = [link.submit(FRAME, f"10.0.0.{number}:1", drive) for number, drive in enumerate(drives)]
        await until(lambda: all(drive.replies for drive in drives))
        replies = [drive.replies[0] for drive in drives]
        assert [reply.step_id for reply in replies if reply] == ids
        assert len(set(ids)) == 5
    first, *rest = running.service.requests
    assert first.hello.version == "1.2.3"
    assert not first.steps
    assert not any(request.HasField("hello") for request in rest)
    assert [step.source for step in rest[0].steps] == [f"10.0.0.{number}:1" for number in range(5)]


async def test_a_lone_step_goes_at_once_alone(running: Running) -> None:
    took_s = list[float]()
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        for _ in range(5):
            drive, begun = Drive(), time.monotonic()
            link.submit(FRAME, "a:1", drive)
            await until(lambda drive=drive: drive.replies)  # type: ignore[misc]
            assert drive.replies[0] is not None
            took_s.append(drive.times[0] - begun)
    assert max(took_s) < 1.4, "it waited for nothing, not even its own end"
    assert min(took_s) < 0.5, f"a machine may be busy for some of them: {took_s}"
    assert running.service.batches == [1] * 5


async def test_two_batches_are_in_flight_and_the_rest_forms_batches_of_at_most_64(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        running.service.going.clear()
        drives = [Drive() for _ in range(300)]
        for number, drive in enumerate(drives):
            link.submit(FRAME, "a:1", drive)
            if number in (0, 1):
                await until(lambda: not link._batches._queue)  # it is on its way
        await until(lambda: running.service.batches)
        assert running.service.batches == [1]  # the service took one and looks at no other
        running.service.going.set()
        await until(lambda: all(drive.replies for drive in drives))
    assert running.service.batches == [1, 1, 64, 64, 64, 64, 42]


async def test_no_third_batch_leaves_before_one_was_answered(running: Running) -> None:
    """The service reads ahead and answers nothing; the link sends two batches."""
    running.service.answer = lambda _step: None
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        for number in range(10):
            link.submit(FRAME, "a:1", Drive())
            if number < 2:
                await until(lambda number=number: len(running.service.batches) > number)  # type: ignore[misc]
            await asyncio.sleep(0.03)
        assert running.service.batches == [1, 1]


async def test_refusals_are_counted_and_told_within_a_second_and_a_half(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        for _ in range(1_000):
            link.refused("10.0.0.1", Code.EE23, "")
        link.refused("10.0.0.1", Code.EEE1, "001300000392")
        link.refused("10.0.0.2", Code.EE23, "")
        begun = time.monotonic()
        await until(lambda: any(request.refusals for request in running.service.requests))
        seconds = time.monotonic() - begun
        print(f"refusals were told after {seconds:.1f} s, promised 1.5 s")
        assert seconds < 3 * 1.5
        (request,) = (request for request in running.service.requests if request.refusals)
        told = {(one.source, one.code, one.count, one.drive_serial) for one in request.refusals}
        assert told == {
            ("10.0.0.1", Code.EE23, 1_000, ""),
            ("10.0.0.1", Code.EEE1, 1, "001300000392"),
            ("10.0.0.2", Code.EE23, 1, ""),
        }


async def test_what_is_to_be_reported_waits_for_the_service_and_is_sent_before_the_end(
    running: Running,
) -> None:
    await running.stop()
    async with linked(lambda: running.port, patience=PATIENCE_S) as link:
        link.refused("10.0.0.1", Code.EE0F, "")
        link.ended(5, "a:1", LOST)
        await asyncio.sleep(0.2)
        await running.start()
        await until(lambda: link.up)
        link.refused("10.0.0.2", Code.EE0F, "")
        link.ended(6, "a:1", LOST)
    ends = [end.session_id for request in running.service.requests for end in request.session_ends]
    sources = {one.source for request in running.service.requests for one in request.refusals}
    assert ends == [5, 6]
    assert sources == {"10.0.0.1", "10.0.0.2"}


async def test_a_diagnose_command_is_handed_on_and_its_report_comes_back(running: Running) -> None:
    commands: list[DiagnoseCommand] = []
    async with linked(lambda: running.port, commands) as link:
        await until(lambda: link.up and running.service.streams == 1)
        running.service.tell.put_nowait(ServeResponse(diagnose=DiagnoseCommand(command_id=77)))
        await until(lambda: commands)
        assert commands[0].command_id == 77
        link.diagnosed(DiagnoseReport(command_id=77))
        await until(lambda: any(request.HasField("diagnose_report") for request in running.service.requests))


async def test_a_configure_command_is_handed_on_and_its_report_comes_back_on_its_own_stream_only(
    running: Running,
) -> None:
    commands: list[tuple[ConfigureCommand, Callable[[ConfigureReport], None]]] = []

    def take(command: ConfigureCommand, report: Callable[[ConfigureReport], None]) -> None:
        commands.append((command, report))

    def reported() -> list[int]:
        requests = running.service.requests
        found = [request.configure_report for request in requests if request.HasField("configure_report")]
        return [report.command_id for report in found]

    async with linked(lambda: running.port, configure=take) as link:
        await until(lambda: link.up and running.service.streams == 1)
        tell = running.service.tell.put_nowait
        for number in (1, 2):
            tell(ServeResponse(configure=ConfigureCommand(command_id=number, properties={"debug": "all"})))
        await until(lambda: len(commands) == 2)
        assert commands[0][0].properties["debug"] == "all"
        commands[0][1](ConfigureReport(command_id=1))
        await until(lambda: reported() == [1])
        await running.stop()
        await until(lambda: not link.up)
        await running.start()
        await until(lambda: link.up and running.service.streams >= 2)
        commands[1][1](ConfigureReport(command_id=2))
        running.service.tell.put_nowait(ServeResponse(configure=ConfigureCommand(command_id=3)))
        await until(lambda: len(commands) == 3)
        commands[2][1](ConfigureReport(command_id=3))
        await until(lambda: reported() == [1, 3])


async def test_debug_lines_go_together_beside_the_steps(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        for number in range(300):
            link.noted("a:1", str(number))
        drive = Drive()
        link.submit(FRAME, "a:1", drive)
        await until(lambda: drive.replies)
        assert not any(request.debug_lines for request in running.service.requests)
        await until(lambda: sum(len(request.debug_lines) for request in running.service.requests) == 300)
        with_lines = [request for request in running.service.requests if request.debug_lines]
        assert len(with_lines) == 2


async def test_a_list_that_cannot_be_split_is_refused_before_it_is_queued(running: Running) -> None:
    tlvs = [(tag, b"\x02" if tag == 0x0122 else value) for tag, value in required(0x02)]
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        with pytest.raises(Fault) as caught:
            link.submit(parse(raw(0x02, tlvs, 8, 7, 3)), "a:1", Drive())
        assert caught.value.code is Code.EE2C
        drive = Drive()
        link.submit(FRAME, "a:1", drive)
        await until(lambda: drive.replies)
    assert running.service.requests[1] == ServeRequest(steps=running.service.requests[1].steps)


async def test_a_waiter_that_breaks_harms_no_other(running: Running) -> None:
    class Broken(Drive):
        def answered(self, reply: Reply | None) -> None:
            raise RuntimeError

    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        drive = Drive()
        link.submit(FRAME, "a:1", Broken())
        link.submit(FRAME, "a:1", drive)
        await until(lambda: drive.replies)
        assert link.up
        link._incidents.count -= 1
