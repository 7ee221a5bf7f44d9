"""What systemd is told of a process: on a real socket, by the notifier alone and by both programs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qekm.notify import MORE_TIME_US, Notifier, told
from qekm.standing import Checking
from tests.system.processes import made

PATIENCE_US = 3_000_000


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(30.0)

    def heard(self) -> list[str]:
        """Return the lines of the next message."""
        return self._socket.recv(4096).decode().split("\n")

    def hears(self, line: str) -> bool:
        """Return whether a line is heard, however much is said before it."""
        return any(line in heard for heard in iter(self.heard, []))

    def waiting(self) -> list[str]:
        """Return the lines of what has come already."""
        self._socket.setblocking(False)
        lines: list[str] = []
        while True:
            try:
                lines += self.heard()
            except BlockingIOError:
                self._socket.settimeout(30.0)
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    found = Manager(str(tmp_path / "notify") if request.param == "path" else f"@qekm-{os.urandom(8).hex()}")
    yield found
    found.close()


def test_a_start_that_lasts_asks_for_time_and_then_says_ready(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.starting("checking the store: 1,000 rows")
    assert manager.heard() == [
        f"EXTEND_TIMEOUT_USEC={MORE_TIME_US}",
        "STATUS=checking the store: 1,000 rows",
    ]
    notifier.ready("serving on ports grpc 3802")
    assert manager.heard() == ["READY=1", "STATUS=serving on ports grpc 3802"]
    notifier.stopping()
    assert manager.heard()[0] == "STOPPING=1"


def test_a_status_is_one_line(manager: Manager) -> None:
    Notifier(manager.address).ready("one\nREADY=0")
    assert manager.heard() == ["READY=1", "STATUS=one READY=0"]


def test_a_large_check_is_told_of_each_second() -> None:
    said: list[str] = []
    check = Checking(said.append)
    check(10)
    assert not said
    check._since -= 1.0
    check(5)
    assert said == ["checking the store: 15 rows"]


async def test_the_watchdog_is_pinged_only_while_the_process_is_well(manager: Manager) -> None:
    well = True
    task = asyncio.create_task(Notifier(manager.address, 3_000).guard(lambda: well))
    assert await asyncio.to_thread(manager.heard) == ["WATCHDOG=1"]
    assert await asyncio.to_thread(manager.heard) == ["WATCHDOG=1"]
    well = False
    manager.waiting()
    await asyncio.sleep(0.05)
    assert manager.waiting() == []
    task.cancel()


async def test_nobody_is_pinged_where_nobody_waits(manager: Manager) -> None:
    await asyncio.wait_for(Notifier(manager.address).guard(lambda: True), 10)
    assert manager.waiting() == []


def test_what_the_environment_names_is_taken_out_of_it() -> None:
    environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "HOME": "/"}
    assert Notifier.take(environ).patience_us == 30_000_000
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("given", [{"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}, {}])
def test_a_watchdog_of_another_process_is_not_ours(given: dict[str, str]) -> None:
    assert Notifier.take(dict(given)).patience_us == 0


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@qekm-nobody-listens-here"])
def test_without_a_service_manager_nothing_fails(address: str) -> None:
    Notifier(address).ready("serving")


def test_ports_are_told_by_name() -> None:
    assert told({"grpc": 3802, "ssl": 443}) == "grpc 3802, ssl 443"


def test_both_programs_tell_of_their_start_their_life_and_their_end(tmp_path: Path) -> None:
    managers = {name: Manager(str(tmp_path / name)) for name in ("server", "gateway")}
    with made(tmp_path / "home", keys=1) as estate, ThreadPoolExecutor() as elsewhere:
        for name, manager in managers.items():
            named = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(PATIENCE_US)}
            estate.start(gateway=name == "gateway", **named)
            assert manager.hears("READY=1")
            assert manager.hears("WATCHDOG=1")
        ended = elsewhere.submit(estate.stop)  # meanwhile both are heard, as by systemd: its queue is short
        assert managers["gateway"].hears("STOPPING=1")
        assert managers["server"].hears("STOPPING=1")
        assert ended.result() == {"gateway": 0, "server": 0}
    for manager in managers.values():
        manager.close()
