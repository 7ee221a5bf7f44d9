"""The link to a real gRPC service that is late, silent, draining, stopped, killed or refuses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from qekm.errors import ServiceAway
from qekm_gateway.faults import LATE
from qekm_gateway.simulator.link import USUAL
from tests.fakes.link import SESSION
from tests.fakes.serving_service import Running, answer
from tests.gateway.test_link import FRAME, Drive, linked, running, serving
from tests.waiting import until

__all__ = ["running"]  # a fixture

TRIES = 3


async def test_without_a_stream_a_step_is_refused_at_once() -> None:
    async with linked(lambda: 1) as link:
        await asyncio.sleep(0.05)
        with pytest.raises(ServiceAway):
            link.submit(FRAME, "a:1", Drive())


async def test_a_service_that_was_killed_and_started_again_is_found_again(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        for _ in range(3):
            await until(lambda: link.up)
            drive = Drive()
            link.submit(FRAME, "a:1", drive)
            await until(lambda drive=drive: drive.replies)  # type: ignore[misc]
            assert drive.replies[0] is not None
            running.service.going.clear()
            late = Drive()
            link.submit(FRAME, "a:1", late)
            await asyncio.sleep(0.05)
            begun = time.monotonic()
            await running.stop()
            await until(lambda late=late: late.replies)  # type: ignore[misc]
            assert late.replies == [None]
            assert late.times[0] - begun < 1.4, "it was not told of the end, its time was over"
            assert not link.up
            running.service.going.set()
            await running.start()
    assert running.service.streams >= 3


async def test_a_draining_service_answers_what_is_in_flight_and_is_left(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        drives = [Drive() for _ in range(20)]
        for drive in drives:
            link.submit(FRAME, "a:1", drive)
        await until(lambda: running.service.batches)
        running.service.draining.set()
        await until(lambda: not link.up)
        assert all(drive.replies and drive.replies[0] is not None for drive in drives)
        running.service.draining.clear()
        await until(lambda: link.up)


async def in_time(play: Callable[[], Awaitable[float]]) -> None:
    """Play it until a drive was told while it waited: a machine may be busy once, a deadline is always."""
    told_s = [await play()]
    while told_s[-1] >= USUAL.answer and len(told_s) < TRIES:
        told_s.append(await play())
    assert told_s[-1] < USUAL.answer, f"a drive leaves after {USUAL.answer} s, and was told after {told_s}"


async def test_a_step_has_a_second_and_a_half_and_its_late_session_is_ended() -> None:
    await in_time(late_steps)


async def late_steps() -> float:
    """Have three steps be too late; return the most seconds that a drive waited to be told."""
    async with serving() as running, linked(lambda: running.port) as link:
        await until(lambda: link.up)
        running.service.going.clear()
        drives, begun = [Drive() for _ in range(3)], []
        for number, drive in enumerate(drives):
            begun.append(time.monotonic())
            link.submit(FRAME, "10.0.0.9:5", drive)
            if number < 2:
                await until(lambda: not link._batches._queue)  # it is on its way
        await until(lambda: all(drive.replies for drive in drives))
        waited = [drive.times[0] - since for drive, since in zip(drives, begun, strict=True)]
        assert all(drive.replies == [None] for drive in drives)
        assert all(1.45 < seconds < 3 * 1.5 for seconds in waited), waited
        running.service.going.set()
        await until(lambda: sum(len(request.session_ends) for request in running.service.requests) == 2)
        ends = [end for request in running.service.requests for end in request.session_ends]
        assert {(end.session_id, end.source, end.code) for end in ends} == {
            (SESSION, "10.0.0.9:5", LATE.code),
        }
        assert running.service.batches == [1, 1]  # the third was never sent
        drive = Drive()
        link.submit(FRAME, "a:1", drive)
        await until(lambda: drive.replies)
        assert drive.replies[0] is not None
        assert all(drive.replies == [None] for drive in drives)
    return max(waited)


async def test_a_client_that_went_gets_no_reply_and_its_session_is_ended(running: Running) -> None:
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        running.service.going.clear()
        sent, blocker, unsent = Drive(), Drive(), Drive()
        link.abandon(link.submit(FRAME, "a:1", unsent))
        sent_id = link.submit(FRAME, "a:2", sent)
        await until(lambda: running.service.batches)
        link.submit(FRAME, "a:3", blocker)
        link.abandon(sent_id)
        running.service.going.set()
        await until(lambda: any(request.session_ends for request in running.service.requests))
        await until(lambda: blocker.replies)
        assert sent.replies == unsent.replies == []


async def test_a_service_that_never_answers_a_step_is_left_after_five_seconds(running: Running) -> None:
    running.service.answer = lambda _step: None
    async with linked(lambda: running.port) as link:
        await until(lambda: link.up)
        drive = Drive()
        link.submit(FRAME, "a:1", drive)
        await until(lambda: running.service.streams == 2)
        assert drive.replies == [None]
        running.service.answer = answer
        await until(lambda: link.up)
        link.submit(FRAME, "a:1", drive)
        await until(lambda: len(drive.replies) == 2)
        assert drive.replies[1] is not None


@pytest.mark.slow
async def test_a_stopped_process_is_noticed_and_taken_again_when_it_goes_on() -> None:
    await in_time(stopped_process)


async def stopped_process() -> float:
    """Stop a service and have it go on; return how many seconds a drive waited meanwhile to be told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.serving_service",
        "0",
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ},
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        async with linked(lambda: port) as link:
            await until(lambda: link.up)
            drive = Drive()
            link.submit(FRAME, "a:1", drive)
            await until(lambda: drive.replies)
            process.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            link.submit(FRAME, "a:1", drive)
            await until(lambda: len(drive.replies) == 2)
            waited = drive.times[1] - begun
            assert drive.replies[1] is None
            assert 1.4 < waited < 3 * 1.5
            await until(lambda: not link.up)
            process.send_signal(signal.SIGCONT)
            await until(lambda: link.up)
            link.submit(FRAME, "a:1", drive)
            await until(lambda: len(drive.replies) == 3)
            assert drive.replies[2] is not None
            process.kill()
            await until(lambda: not link.up)
        return waited
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_refused_gateway_tries_again_ever_more_slowly_and_says_why_once(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.service.refuse = grpc.StatusCode.PERMISSION_DENIED
    with caplog.at_level(logging.WARNING):
        async with linked(lambda: running.port) as link:
            await asyncio.sleep(2)
            assert running.service.streams <= 8
            await until(lambda: running.service.streams >= 3)
            assert not link.up
            running.service.refuse = None
            await until(lambda: link.up)
    told = [record for record in caplog.records if "PERMISSION_DENIED" in record.getMessage()]
    assert len(told) == 1
