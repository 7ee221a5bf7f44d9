"""30,000 frames of junk from many connections: memory and descriptors stay, drives are served throughout."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from qekm.home import Home
from qekm.v1.serving_pb2 import RefusalReport
from tests.dkp.material import raw, required
from tests.fakes.serving_service import Running
from tests.gateway.port import Client
from tests.gateway.test_connection import NOTIFY, PING, STATUS, session
from tests.gateway.test_server import connect, eventually, gateway, home, port_of, service
from tests.waiting import until

__all__ = ["home"]  # a fixture

FRAMES = 30_000  # a million: tests/faults
# One of each refusal that leaves the connection open; sixteen of them end it.
REFUSED = [STATUS, raw(0x55, []), raw(0x01, required(0x01), 4), raw(0x07, [], 0, 5, 1)]


def memory(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096


def descriptors(pid: int) -> int:
    """Return how many files a process has open; 0 if only root may look, as the gateway wants it."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except PermissionError:
        return 0


def flood(port: int, frames: int, seed: int) -> int:
    """Send junk until `frames` were sent, each connection as far as it goes; return how many connections."""
    dice = random.Random(seed)
    connections = 0
    while frames > 0:
        connections += 1
        with connect(port) as client:
            try:
                if connections % 4:
                    client.send(b"".join(dice.choices(REFUSED, k=20)))
                    frames -= 16
                else:
                    data = bytearray(dice.choice([NOTIFY, STATUS, raw(0x02, required(0x02), 8, 1, 3)]))
                    data[dice.randrange(5)] ^= 1 << dice.randrange(8)
                    client.send(bytes(data))
                    frames -= 1
                while client.socket.recv(4_096):
                    pass
            except OSError:
                pass
    return connections


def told(running: Running) -> list[RefusalReport]:
    """Return the refusals that the service was told of."""
    return [one for request in running.service.requests for one in request.refusals]


@pytest.mark.slow
async def test_junk_changes_nothing_but_counts(home: Home) -> None:
    async with service(home) as running:
        with gateway(home) as process:
            port = await asyncio.to_thread(port_of, home, process)
            await eventually(connect(port))
            await asyncio.to_thread(flood, port, 3_000, 0)
            await asyncio.sleep(1.2)
            running.service.requests.clear()
            before, open_before = memory(process.pid), descriptors(process.pid)
            with ThreadPoolExecutor(4) as pool:
                loop = asyncio.get_running_loop()
                floods = [loop.run_in_executor(pool, flood, port, FRAMES // 4, seed) for seed in range(4)]
                slowest = 0.0
                while not all(one.done() for one in floods):
                    begun = time.monotonic()
                    assert await asyncio.to_thread(session, connect(port)) == [0x82, 0x84, 0x86]
                    slowest = max(slowest, time.monotonic() - begun)
                    await asyncio.sleep(0.05)
                await asyncio.gather(*floods)
            await until(lambda: sum(one.count for one in told(running)) >= FRAMES * 0.9)
            await until(lambda: descriptors(process.pid) <= open_before + 2)
            assert slowest < 6  # a drive waits 2 s; three times that on a machine that others use, too
            assert memory(process.pid) - before < 5_000_000
            assert {one.source for one in told(running)} == {"127.0.0.1"}
            assert len(told(running)) < 400
            assert process.poll() is None


@pytest.mark.slow
def test_many_slow_clients_cost_a_fast_one_nothing(home: Home) -> None:
    with gateway(home, QEKM_PROPERTY_dkp_connectionsPerAddress="1000") as process:
        port = port_of(home, process)
        slow = [connect(port) for _ in range(600)]
        for place, client in enumerate(slow):
            client.send(NOTIFY[: place % len(NOTIFY)] if place % 2 else b"\x16\x03\x01")
        fast = Client(socket.create_connection(("127.0.0.1", port), 5))
        begun = time.monotonic()
        for _ in range(200):
            assert fast.ask(PING).type == 0x87
        assert time.monotonic() - begun < 5
        for client in (fast, *slow):
            client.socket.close()


def ping_on(port: int, end: float) -> None:
    """Send pings without a pause and throw the answers away."""
    with connect(port) as client:
        client.socket.setblocking(False)
        while time.monotonic() < end:
            for work in (lambda: client.socket.send(PING * 2_000), lambda: client.socket.recv(65_536)):
                with suppress(BlockingIOError):
                    work()


@pytest.mark.slow
async def test_pings_without_a_pause_leave_drives_their_turn(home: Home) -> None:
    async with service(home):
        with gateway(home) as process:
            port = await asyncio.to_thread(port_of, home, process)
            await eventually(connect(port))
            end = time.monotonic() + 6
            with ThreadPoolExecutor(48) as pool:
                loop = asyncio.get_running_loop()
                floods = [loop.run_in_executor(pool, ping_on, port, end) for _ in range(48)]
                served, slowest = 0, 0.0
                await asyncio.sleep(0.5)
                while not served or time.monotonic() < end - 2:
                    begun = time.monotonic()
                    assert await asyncio.to_thread(session, connect(port)) == [0x82, 0x84, 0x86]
                    slowest, served = max(slowest, time.monotonic() - begun), served + 1
                await asyncio.gather(*floods)
            assert served
            assert slowest < 6  # a drive waits 2 s; three times that on a machine that others use, too
