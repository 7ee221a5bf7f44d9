"""Honest drives for the bench: each makes and checks every signature and unwraps every key.

A process of its own: `drives.py PORT ANCHOR FOLDER FIRST DRIVES`; a line `DRIVES SECONDS` on standard input
starts that many drives for that long, and a line `exchanges wall cpu p50 p99 failures` answers.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from qekm.dkp.codes import Ask
from qekm.dkp.frame import Reader
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.folder import load_authority
from qekm_gateway.simulator.sense import CheckCondition


def now_us() -> int:
    """Return the time of day in microseconds."""
    return time.time_ns() // 1000


def make_drives(folder: Path, first: int, count: int) -> list[Drive]:
    """Make drives, P-256 authentication and RSA-2048 session keys, named by the folder's authority."""
    authority = load_authority(folder)
    return [
        make_drive(authority, f"00130000{number:04d}", now_us()) for number in range(first, first + count)
    ]


class Line(asyncio.Protocol):
    """One connection of one drive: exchange after exchange until the time is over."""

    def __init__(self, drive: Drive, anchors: Anchors, end: float, done: asyncio.Future[None]) -> None:
        self.drive, self.anchors, self.end, self.done = drive, anchors, end, done
        self.reader = Reader()
        self.latencies: list[float] = []
        self.failures = 0
        self.count = 0

    def itself(self) -> Line:
        """Return this line, as the factory that a connection wants."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.begin()

    def begin(self) -> None:
        """Start the next exchange: a key for an empty cartridge."""
        self.begun = time.monotonic()
        if self.begun >= self.end:
            self.transport.close()
            return
        self.count += 1
        errand = Errand(Ask.CREATE, volser=f"B{self.count:05d}L4", mount_id=os.urandom(16))
        self.session = Session(self.drive, errand, self.anchors, os.urandom, now_us)
        self.transport.write(self.session.begin())

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        while (raw := self.reader.next_frame()) is not None:
            try:
                answer = self.session.receive(raw)
            except CheckCondition as problem:
                self.failures += 1
                print(self.drive.serial, problem, file=sys.stderr)
                self.transport.close()
                return
            if answer is not None:
                self.transport.write(answer)
                continue
            outcome = self.session.outcome
            if outcome is None or outcome.key is None or not outcome.confirmed:
                self.failures += 1
            self.latencies.append(time.monotonic() - self.begun)
            self.begin()

    def connection_lost(self, _error: Exception | None) -> None:
        if time.monotonic() < self.end:  # nobody but us ends a connection
            self.failures += 1
        self.done.set_result(None)


async def load(port: int, anchors: Anchors, drives: list[Drive]) -> None:
    """Do what standard input asks until it ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        count, seconds = int(line.split()[0]), float(line.split()[1])
        cpu, begun = time.process_time(), time.monotonic()
        lines: list[Line] = []
        for drive in drives[:count]:
            each = Line(drive, anchors, begun + seconds, loop.create_future())
            lines.append(each)
            await loop.create_connection(partial(Line.itself, each), "127.0.0.1", port)
        await asyncio.gather(*(each.done for each in lines))
        wall, cpu = time.monotonic() - begun, time.process_time() - cpu
        latencies = sorted(value for each in lines for value in each.latencies) or [0.0]
        p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
        print(len(latencies), wall, cpu, p50, p99, sum(each.failures for each in lines), flush=True)


if __name__ == "__main__":
    made = make_drives(Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    print("ready", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load(int(sys.argv[1]), Anchors([bytes.fromhex(sys.argv[2])]), made))
