"""A new link takes the place of one in use: no step is lost, and sessions end where they began."""

from __future__ import annotations

import asyncio

import pytest

from qekm.distribution import SECONDS, Distribution
from qekm.errors import ServiceAway
from qekm.v1.serving_pb2 import GatewayHello
from qekm_gateway import lines as lines_module
from qekm_gateway.activity import Activity
from qekm_gateway.faults import Incidents
from qekm_gateway.lines import Lines
from qekm_gateway.link import Link
from qekm_gateway.services import Service
from qekm_gateway.translate import Translator
from tests.fakes.serving_service import Running
from tests.gateway.test_connection import NOTIFY, PING, REPLY, STATUS
from tests.gateway.test_link import Drive, dial, running
from tests.waiting import until

__all__ = ["running"]  # a fixture


def lines_to(port: list[int], session: float = 60.0) -> Lines:
    """Return lines to whatever port is the last in the list."""
    return Lines(
        lambda: Link(
            [Service("local", lambda: dial(port[-1]))],
            GatewayHello,
            Incidents(),
            lambda _command: None,
            lambda _command, _report: None,
            Distribution(SECONDS),
        ),
        lambda: session,
        lambda _link: None,
    )


async def ask(translator: Translator, frame: bytes) -> int:
    """Have a frame answered and return the answer's type."""
    drive = Drive()
    answer = translator.take(frame, drive)
    if not answer:
        await until(lambda: drive.replies)
        answer = translator.give(drive.replies[0])
    return answer[5]


async def test_sessions_end_where_they_began_and_new_ones_go_over_the_new_link(running: Running) -> None:
    lines = lines_to([running.port])
    lines.start()
    old = lines.present
    await until(lambda: old.up)
    begun, idle = (Translator(old, Incidents(), Activity(), "a", "a:1") for _ in range(2))
    kinds = [await ask(begun, NOTIFY)]
    await lines.replace()
    new = lines.present
    assert old.up and new.up and running.service.streams == 2 and old.newest is new is lines.present
    kinds += [await ask(begun, frame) for frame in (REPLY, STATUS)]
    assert kinds == [await ask(idle, frame) for frame in (NOTIFY, REPLY, STATUS)]
    assert await ask(idle, PING) == 0x87
    assert idle._link is new is not begun._link
    assert [await ask(begun, NOTIFY)] == kinds[:1]
    assert begun._link is new
    await lines.close()
    assert not old.up and not new.up


async def test_the_old_link_is_closed_when_its_sessions_must_be_over(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "DEADLINE", 0.1)
    lines = lines_to([running.port], session=0.1)
    lines.start()
    old = lines.present
    await until(lambda: old.up)
    await lines.replace()
    new = lines.present
    await until(lambda: not old.up)
    await asyncio.sleep(0.2)
    assert new.up and not old.up
    await lines.close()


async def test_a_new_link_that_does_not_last_leaves_the_old_one_in_use(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "PATIENCE", 1.5)
    port = [running.port]
    lines = lines_to(port)
    lines.start()
    old = lines.present
    await until(lambda: old.up)
    port.append(1)
    with pytest.raises(ServiceAway):
        await lines.replace()
    assert old.up and lines.present is old.newest is old
    await lines.close()
