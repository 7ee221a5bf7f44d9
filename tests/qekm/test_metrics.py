"""Figures for Prometheus: read when asked for, on this machine only, and never in the way of drives."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qekm.families import Family, count, gauge, one
from qekm.metrics import MOST_ASKING, Metrics
from qekm.properties.listeners import GATEWAY_METRICS_PORT, METRICS_PORT
from qekm.v1.server_pb2 import GetStatusRequest
from tests.ports import free_port
from tests.qekm.api.running import running
from tests.waiting import PATIENCE_S, wait_for


@pytest.fixture
def port() -> int:
    return free_port()


async def read(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Ask as Prometheus does; by name of the sample and texts of its labels."""

    def ask() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(await asyncio.to_thread(ask)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def answers(port: int) -> bool:
    """Tell whether who asks now gets an answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).close()
        return True
    return False


def own(found: dict[str, dict[tuple[str, ...], float]]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what is not told of the process itself."""
    return {name: rows for name, rows in found.items() if not name.startswith("process_")}


async def test_what_is_asked_for_is_as_it_is_now(port: int) -> None:
    metrics, counts = Metrics(port), [1.0]
    loop, home = asyncio.get_running_loop(), threading.current_thread()

    def source() -> Iterator[Family | None]:
        assert asyncio.get_running_loop() is loop, "where everything lives"
        yield gauge("a_lag", "How far.", [(("b",), counts[0]), (("c",), 7)], "peer")
        yield None
        yield count("a_refused", "How many.", counts[0] * 2)

    def broken() -> Iterator[Family | None]:
        raise ValueError("one that fails keeps no other from being told")

    def disk() -> Iterator[Family | None]:
        assert threading.current_thread() is not home, "a disk may hang"
        yield one("a_size", "Bytes.", 5)

    metrics.sources += [broken, source]
    metrics.disks += [disk, broken]
    await metrics.start()
    try:
        assert metrics.port == port
        assert metrics.lines() == []
        found = await read(port)
        lag = {("b",): 1.0, ("c",): 7.0}
        assert own(found) == {"a_lag": lag, "a_refused_total": {(): 2}, "a_size": {(): 5}}
        assert found["process_open_fds"][()] > 0
        counts[0] = 5.0
        assert (await read(port))["a_lag"] == {("b",): 5, ("c",): 7}
    finally:
        await metrics.close()
    with pytest.raises(OSError, match="refused"):
        await read(port)


async def test_a_long_source_lets_others_have_their_turns(port: int) -> None:
    metrics, turns = Metrics(port), [0]

    def long() -> Iterator[Family | None]:
        for _ in range(50):
            before = turns[0]
            yield None
            assert turns[0] > before, "the loop went on with something else"
        yield one("turns", "Turns.", turns[0])

    async def beside() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    metrics.sources.append(long)
    task = asyncio.create_task(beside())
    await metrics.start()
    try:
        assert (await read(port))["turns"][()] >= 50
    finally:
        task.cancel()
        await metrics.close()


async def test_of_a_loop_that_is_late_what_was_read_is_told(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qekm.metrics._PATIENCE_S", 1.0)
    metrics = Metrics(port)

    def endless() -> Iterator[Family | None]:
        yield one("first", "F.", 1)
        while True:
            yield None

    metrics.sources += [endless, lambda: [one("never", "N.", 1)]]
    metrics.disks.append(lambda: [one("disk", "D.", 1)])
    await metrics.start()
    try:
        assert own(await read(port)).keys() == {"first", "disk"}
    finally:
        await metrics.close()


async def test_who_asks_and_says_nothing_holds_up_nobody_and_few_can(port: int) -> None:
    metrics = Metrics(port)
    metrics.sources.append(lambda: [one("a", "A.", 1)])
    await metrics.start()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_ASKING - 1)]
    try:
        assert (await read(port))["a"] == {(): 1}
        silent.append(socket.create_connection(("127.0.0.1", port)))
        with socket.create_connection(("127.0.0.1", port)) as turned_away:
            turned_away.settimeout(20)
            assert await asyncio.to_thread(turned_away.recv, 1) == b""
        silent.pop().close()

        await asyncio.to_thread(wait_for, lambda: answers(port))
    finally:
        for each in silent:
            each.close()
        await metrics.close()


async def test_few_that_ask_slowly_keep_nobody_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qekm.metrics._REQUEST_S", 0.5)
    metrics = Metrics(port)
    metrics.sources.append(lambda: [one("a", "A.", 1)])
    await metrics.start()
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(MOST_ASKING)]

    def drip() -> None:
        open_ = set(slow)
        while open_:
            for each in list(open_):
                try:
                    each.send(b"G")
                except OSError:
                    open_.remove(each)
            time.sleep(0.05)

    try:
        await asyncio.wait_for(asyncio.to_thread(drip), PATIENCE_S)  # each would last for ever
        monkeypatch.undo()
        await asyncio.to_thread(wait_for, lambda: answers(port))
    finally:
        for each in slow:
            each.close()
        await metrics.close()


async def test_a_thread_that_cannot_begin_takes_no_place(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(port)
    await metrics.start()

    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def ask() -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as turned_away:
            turned_away.settimeout(20)
            return turned_away.recv(1)

    begin = threading.Thread.start
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()  # its thread runs
            monkeypatch.setattr(threading.Thread, "start", none_left)
            assert [pool.submit(ask).result() for _ in range(MOST_ASKING)] == [b""] * MOST_ASKING
            monkeypatch.setattr(threading.Thread, "start", begin)
        assert await read(port)
    finally:
        await metrics.close()


@pytest.mark.parametrize("name", [METRICS_PORT, GATEWAY_METRICS_PORT])
async def test_a_port_that_is_taken_is_told_and_nothing_else_happens(port: int, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        metrics = Metrics(port, name)
        await metrics.start()
        assert metrics.lines() == [f"no metrics: 127.0.0.1 port {port} ({name}): Address already in use"]
        await metrics.close()


async def test_with_0_nobody_listens() -> None:
    metrics = Metrics(0)
    await metrics.start()
    assert (metrics.port, metrics.lines()) == (0, [])
    await metrics.close()


async def test_a_service_tells_of_its_keys_and_has_no_peers(tmp_path: Path, port: int) -> None:
    async with running(tmp_path / "home", keys=8, metrics__port=str(port)) as run:
        found = await read(port)
        records = len(await run.records())
    assert found["qekm_keys"]["default", "ready"] == 8
    assert found["qekm_keys"]["default", "active"] == 0
    assert (found["qekm_peer_refused_total"], found["qekm_ssl_refused_total"]) == ({(): 0}, {(): 0})
    assert not any(found.get(f"qekm_peer_{name}") for name in ("connected", "lag_records", "diverged"))
    assert 0 < found["qekm_audit_records_total"][()] <= records
    assert found["qekm_store_bytes"][()] > 4_096
    assert sum(found["qekm_slots"].values()) == 1
    ends = found["qekm_certificate_expiry_timestamp_seconds"]
    assert {role for _, role in ends} == {"authority", "server", "gateway", "administrator"}
    assert min(ends.values()) > time.time()


async def test_a_service_whose_port_of_metrics_is_taken_serves_and_says_so(tmp_path: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with running(tmp_path / "home", keys=1, metrics__port=str(port)) as run:
            status = await run.client.server.GetStatus(GetStatusRequest())
    assert any(f"no metrics: 127.0.0.1 port {port}" in line for line in status.degraded)
