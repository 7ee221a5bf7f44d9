"""Figures for Prometheus: read when asked for, on this machine only, and never in the way of drives."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from qekm.metrics import Metrics, counter, gauge
from tests.qekm.api.running import running


@pytest.fixture
def port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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


async def test_what_is_asked_for_is_as_it_is_now(port: int) -> None:
    metrics, counts = Metrics(port), [1.0]
    loop = asyncio.get_running_loop()

    def source() -> Iterator[Metric]:
        assert asyncio.get_running_loop() is loop, "where everything lives"
        yield gauge("a_lag", "How far.", [(("b",), counts[0]), (("c",), 7)], "peer")
        yield counter("a_refused", "How many.", counts[0] * 2)

    def broken() -> Iterator[Metric]:
        raise ValueError("one that fails keeps no other from being told")

    metrics.sources += [broken, source]
    await metrics.start()
    try:
        assert metrics.port == port
        assert metrics.lines() == []
        assert await read(port) == {"a_lag": {("b",): 1, ("c",): 7}, "a_refused_total": {(): 2}}
        counts[0] = 5.0
        assert (await read(port))["a_lag"] == {("b",): 5, ("c",): 7}
    finally:
        await metrics.close()
    with pytest.raises(OSError, match="refused"):
        await read(port)


async def test_a_port_that_is_taken_is_told_and_nothing_else_happens(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        metrics = Metrics(port)
        await metrics.start()
        assert metrics.lines() == [
            f"no metrics: 127.0.0.1 port {port} (metrics.port): Address already in use"
        ]
        await metrics.close()


async def test_with_0_nobody_listens() -> None:
    metrics = Metrics(0)
    await metrics.start()
    assert (metrics.port, metrics.lines()) == (0, [])
    await metrics.close()


async def test_a_service_tells_of_its_keys_and_has_no_peers(tmp_path: Path, port: int) -> None:
    async with running(tmp_path / "home", keys=8, metrics__port=str(port)):
        found = await read(port)
    assert found["qekm_keys"]["default", "ready"] == 8
    assert found["qekm_keys"]["default", "active"] == 0
    assert (found["qekm_peer_refused_total"], found["qekm_ssl_refused_total"]) == ({(): 0}, {(): 0})
    assert not any(found.get(f"qekm_peer_{name}") for name in ("connected", "lag_records", "diverged"))
