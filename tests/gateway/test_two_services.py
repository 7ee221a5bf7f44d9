"""A gateway with two services moves between them: real gRPC servers, and a process that is frozen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from qekm.distribution import SECONDS, Distribution
from qekm.errors import ServiceAway
from qekm.v1.serving_pb2 import GatewayHello
from qekm_gateway.activity import Activity
from qekm_gateway.faults import Incidents
from qekm_gateway.lines import Lines
from qekm_gateway.link import Link
from qekm_gateway.services import Service
from qekm_gateway.translate import Translator
from tests.fakes.serving_service import Running, ServingService
from tests.gateway.test_connection import NOTIFY, REPLY, STATUS
from tests.gateway.test_lines import ask
from tests.gateway.test_link import FRAME, Drive, dial
from tests.waiting import until

AIM_S, FAILS_S = 2.5, 7.5  # from the fault to the next service in use


class Pair:
    """Two services, the first preferred, and a gateway's lines to them."""

    def __init__(self, first: int, second: int, incidents: Incidents) -> None:
        services = [Service("local", lambda: dial(first)), Service("b:443", lambda: dial(second))]

        def make() -> Link:
            ways = (lambda _told: None), (lambda _told, _report: None)
            return Link(services, GatewayHello, incidents, *ways, Distribution(SECONDS))

        self.changes: list[Link] = []
        self.lines = Lines(make, lambda: 60.0, self.changes.append)

    @property
    def used(self) -> str:
        """Return the service in use, nothing while there is none."""
        link = self.lines.present
        return link.service.name if link.up else ""

    async def serves(self) -> bool:
        """Tell whether a step is answered."""
        drive = Drive()
        try:
            self.lines.present.submit(FRAME, "a:1", drive)
        except ServiceAway:
            return False
        await until(lambda: drive.replies)
        return drive.replies[0] is not None


@contextlib.asynccontextmanager
async def paired(first: int, second: int) -> AsyncIterator[Pair]:
    incidents = Incidents()
    pair = Pair(first, second, incidents)
    pair.lines.start()
    try:
        yield pair
    finally:
        await pair.lines.close()
    assert incidents.count == 0


@contextlib.asynccontextmanager
async def two(alive: bool = True) -> AsyncIterator[tuple[Running, Running, Pair]]:
    first, second = (Running(ServingService(alive=alive)) for _ in range(2))
    for each in (first, second):
        await each.start()
    try:
        async with paired(first.port, second.port) as pair:
            yield first, second, pair
    finally:
        for each in (first, second):
            each.service.going.set()
            await each.stop()


async def measured(pair: Pair, fault: str, began: float) -> None:
    """Wait until the second service answers; print the time."""
    await until(lambda: pair.used == "b:443", FAILS_S)
    assert await pair.serves()
    took = time.monotonic() - began
    print(f"{fault}: the second service serves after {took:.2f} s (aim {AIM_S} s)")
    assert took < FAILS_S


async def test_the_first_that_serves_is_used_and_the_hello_says_how_it_is_called() -> None:
    async with two() as (first, second, pair):
        await until(lambda: first.service.requests)
        assert pair.used == "local" and await pair.serves()
        assert first.service.requests[0].hello.service == "local"
        assert second.service.streams == 0


async def test_a_service_that_ends_is_left_at_once_and_gone_back_to_when_it_is_there_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        async with two() as (first, second, pair):
            await until(lambda: pair.used == "local")
            await first.stop()
            await measured(pair, "ended", time.monotonic())
            assert second.service.requests[0].hello.service == "b:443"
            link = pair.lines.present
            session = Translator(link, Incidents(), Activity(), "a", "a:1")
            assert await ask(session, NOTIFY) == 0x82
            await first.start()
            await until(lambda: pair.used == "local", 30)
            assert pair.changes == [pair.lines.present] and link.newest is pair.lines.present
            # The session that is under way goes on where it began, and the next one where all begin now.
            assert [await ask(session, frame) for frame in (REPLY, STATUS)] == [0x84, 0x86]
            steps = len(first.service.batches)
            assert await ask(session, NOTIFY) == 0x82 and len(first.service.batches) == steps + 1
            await until(lambda: "connected to the service (b:443)" in caplog.text)


async def test_a_service_that_refuses_is_passed_over() -> None:
    async with two() as (first, _, pair):
        first.service.refuse = grpc.StatusCode.UNAVAILABLE
        await until(lambda: pair.used == "b:443", 30)
        assert await pair.serves()
        await asyncio.sleep(2.5)
        assert pair.used == "b:443" and pair.changes == [], "it is only accepted, then refused"
        first.service.refuse = None
        await until(lambda: pair.used == "local", 30)


async def test_a_draining_service_is_left_for_the_other() -> None:
    async with two() as (first, _, pair):
        await until(lambda: pair.used == "local")
        began = time.monotonic()
        first.service.draining.set()
        await measured(pair, "draining", began)


async def test_a_service_that_hangs_but_accepts_is_left_and_not_gone_back_to() -> None:
    async with two() as (first, _, pair):
        await until(lambda: pair.used == "local" and pair.lines.present.heard, 30)
        first.service.going.clear()
        drive, began = Drive(), time.monotonic()
        pair.lines.present.submit(FRAME, "a:1", drive)
        await measured(pair, "hanging", began)
        assert drive.replies == [None]
        first.service.alive = False
        first.service.going.set()
        await asyncio.sleep(3)
        assert pair.used == "b:443" and pair.changes == []
        first.service.alive = True
        await until(lambda: pair.used == "local", 30)


async def test_services_of_an_older_release_are_left_only_for_what_they_leave_unanswered() -> None:
    async with two(alive=False) as (first, second, pair):
        await until(lambda: pair.used == "local")
        await asyncio.sleep(4)
        assert first.service.streams == 1 and second.service.streams == 0
        assert await pair.serves()


async def test_without_any_service_a_step_is_refused_at_once() -> None:
    async with two() as (first, second, pair):
        await until(lambda: pair.used == "local")
        await asyncio.gather(first.stop(), second.stop())
        await until(lambda: not pair.used)
        for _ in range(20):
            began = time.monotonic()
            assert not await pair.serves()
            assert time.monotonic() - began < 1
            await asyncio.sleep(0.1)
        await second.start()
        await until(lambda: pair.used == "b:443", 30)


@contextlib.asynccontextmanager
async def service_process() -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.serving_service", "0"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ},
    )
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_frozen_process_is_left_and_gone_back_to_when_it_goes_on() -> None:
    async with (
        service_process() as (first, port),
        service_process() as (_, other),
        paired(port, other) as pair,
    ):
        await until(lambda: pair.used == "local" and pair.lines.present.heard, 30)
        for _ in range(2):
            first.send_signal(signal.SIGSTOP)
            drive, began = Drive(), time.monotonic()
            pair.lines.present.submit(FRAME, "a:1", drive)
            await measured(pair, "frozen", began)
            assert drive.replies == [None]
            await asyncio.sleep(2)
            assert pair.used == "b:443" and await pair.serves(), "what is frozen accepts connections"
            first.send_signal(signal.SIGCONT)
            await until(lambda: pair.used == "local", 30)
            assert await pair.serves()


async def test_a_first_service_that_swallows_everything_does_not_keep_a_gateway_from_the_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts and says nothing, as a frozen process does
        second = Running(ServingService())
        await second.start()
        async with paired(mute.getsockname()[1], second.port) as pair:
            await until(lambda: pair.used == "b:443", 15)
            assert await pair.serves()
        await second.stop()
