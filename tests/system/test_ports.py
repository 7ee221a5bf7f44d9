"""Ports, debug and passwords change while two drives work: no key request fails, and nothing is half done."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from qekm.client import connect
from qekm.clock import now_us
from qekm.errors import BadConfiguration, PortInUse, QekmError
from qekm.v1.accounts_pb2 import UpdateOwnPasswordRequest
from qekm.v1.configuration_pb2 import UpdatePropertiesRequest
from qekm.v1.server_pb2 import GetStatusRequest, GetStatusResponse
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.faults.site import Site, working
from tests.faults.worker import Worker
from tests.gateway.movable import connect as connect_drive
from tests.gateway.movable import refused
from tests.gateway.test_connection import PING
from tests.ordinary import NOBODY, ordinary, privileged_port, python_as_ordinary
from tests.ports import free_port
from tests.system.processes import Estate, Process, made

TCP, SSL = "TransportListener.tcp.port", "TransportListener.ssl.port"
DRAIN = "TransportListener.tcp.drainMinutes"
PATIENCE_S = 60.0


class Administrator:
    """Changes properties of an estate, near or from afar, with the password that he has."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.password = ""
        self.ssl_port = 0  # of remote administration; 0: near

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """Open a client."""
        target = f"localhost:{self.ssl_port}" if self.ssl_port else None
        home = self.estate.home.path
        with connect(home, target, "administrator", password=lambda: self.password) as client:
            yield client

    def put(self, values: dict[str, str]) -> Sequence[str]:
        """Change properties and return what is told of it."""
        with self.client() as client:
            request = UpdatePropertiesRequest()
            for name, text in values.items():
                request.set[name] = text
            return tuple(client.configuration.UpdateProperties(request).notes)

    def status(self) -> GetStatusResponse:
        """Return what the status says."""
        with self.client() as client:
            told: GetStatusResponse = client.server.GetStatus(GetStatusRequest())
            return told

    def change_password(self, new: str) -> None:
        """Set the command password."""
        with self.client() as client:
            request = UpdateOwnPasswordRequest(old_password=self.password.encode(), new_password=new.encode())
            client.accounts.UpdateOwnPassword(request)
        self.password = new


class Drives:
    """Two drives at work, each in a library of its own."""

    def __init__(self, site: Site, patience_s: float) -> None:
        self._patience_s = patience_s
        self.libraries = [
            Library("LIB1", [drive], [Server("127.0.0.1", site.port)], site.anchors, os.urandom, now_us)
            for drive in site.drives
        ]
        self.workers = [
            Worker(drive, library, book, letter)
            for drive, library, book, letter in zip(
                site.drives, self.libraries, site.books, "AB", strict=True
            )
        ]

    def send_to(self, *ports: int) -> None:
        """Set the libraries to these ports."""
        for library in self.libraries:
            library.servers = tuple(Server("127.0.0.1", port) for port in ports)

    def work(self, exchanges: int = 2) -> None:
        """Wait until every drive has done so much more."""
        wanted = [worker.exchanges + exchanges for worker in self.workers]
        until(
            lambda: all(worker.exchanges >= most for worker, most in zip(self.workers, wanted, strict=True)),
            self._patience_s,
        )

    @property
    def tickets(self) -> list[str]:
        """What a library met, whether it got its key in the end or not."""
        return [f"{server}: {trouble}" for library in self.libraries for server, trouble in library.tickets]

    @property
    def failed(self) -> list[object]:
        """Key requests that failed: those that a host had to give again, and what must never happen."""
        found: list[object] = [trouble for worker in self.workers for trouble in worker.trouble]
        return found + [worker.name for worker in self.workers if worker.repeated or worker.unconfirmed]


def pings(port: int) -> bool:
    """Tell whether a drives' port answers."""
    if refused(port):
        return False
    with connect_drive(port) as drive:
        return drive.ask(PING).type == 0x87


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for something; AssertionError if it takes too long."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.02)


@contextlib.contextmanager
def drives_of(site: Site, patience_s: float = PATIENCE_S) -> Iterator[Drives]:
    """Have the drives of a site work for a block."""
    drives = Drives(site, patience_s)
    for worker in drives.workers:
        worker.start()
    try:
        yield drives
    finally:
        for worker in drives.workers:
            worker.stop()


def move_while_they_work(site: Site, drives: Drives, administrator: Administrator, rounds: int) -> None:
    """Move both ports and switch debug again and again; the libraries follow when the port has moved."""
    port = site.port
    for number in range(rounds):
        new = free_port()
        notes = administrator.put({TCP: str(new), SSL: "0" if number else str(free_port())})
        assert any(f"on port {new}, and for 10 minutes on {port} as well" in note for note in notes), notes
        drives.work(1)
        assert pings(new)
        assert pings(port)
        drives.send_to(new)
        administrator.put({"debug": "none" if number % 2 else "all"})
        drives.work(1)
        told = administrator.status()
        assert told.tcp_ports[0] == new
        assert port in told.tcp_ports
        assert site.estate.ports["tcp"] == new
        assert site.estate.ports["ssl"] == told.ssl_port
        assert told.debug is not bool(number % 2)
        port = new


def test_everything_changes_while_two_drives_work_and_no_key_request_fails(tmp_path: Path) -> None:
    begun = time.monotonic()
    with working(tmp_path, 64) as site:
        administrator = Administrator(site.estate)
        with drives_of(site) as drives:
            drives.work()
            move_while_they_work(site, drives, administrator, 2)
            for new in ("correct horse 1", "correct horse 2"):
                administrator.change_password(new)
                drives.work(1)
            administrator.ssl_port = site.estate.ports["ssl"]
            for _ in range(2):  # from afar, over the very port that moves
                new_ssl = free_port()
                administrator.put({SSL: str(new_ssl)})
                until(lambda: refused(administrator.ssl_port))
                administrator.ssl_port = new_ssl
                drives.work(1)
            assert drives.tickets == []  # whoever is told in time meets nothing at all
            first = site.estate.ports["tcp"]
            second = free_port()
            drives.send_to(first, second)  # and whoever is not, is served at the other that he knows
            administrator.put({TCP: str(second), DRAIN: "0"})
            assert refused(first)
            assert pings(second)
            drives.work()
            drives.send_to(second, first)
            administrator.put({TCP: str(first), DRAIN: "10"})
            assert pings(first)
            assert pings(second)
            drives.work()
            exchanges = sum(worker.exchanges for worker in drives.workers)
        assert drives.failed == []
    print(f"{exchanges} key requests, 0 failed, in {time.monotonic() - begun:.0f} s")


def test_control_a_gateway_that_leaves_its_port_at_once_is_found_out(tmp_path: Path) -> None:
    with working(tmp_path, 64) as site:
        site.estate.kill("gateway")
        site.estate.gateway = Process(site.estate.home, "gateway", program=["tests.system.hasty_gateway"])
        site.estate.gateway.wait_ready()
        site.estate.wait_gateway()
        with drives_of(site, patience_s=5) as drives:
            until(lambda: all(worker.exchanges for worker in drives.workers))
            # A drive gets no key, or the port before answers nobody, whichever is seen first.
            with pytest.raises(AssertionError, match=rf"does not come to that|pings\({site.port}\)"):
                move_while_they_work(site, drives, Administrator(site.estate), 1)
            until(lambda: drives.tickets)  # what was under way when the port went may have been answered
            drives.send_to(site.estate.ports["tcp"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Give a key manager that runs, with a gateway, on free ports; each test leaves it running."""
    with made(tmp_path_factory.mktemp("ports") / "home", keys=1) as estate:
        estate.start()
        estate.wait_gateway()
        yield estate


def state(estate: Estate) -> tuple[object, ...]:
    """Return all that a change of ports changes."""
    told = Administrator(estate).status()
    return (
        estate.home.config.read_bytes(),
        dict(estate.ports),
        list(told.tcp_ports),
        told.ssl_port,
        told.debug,
        [line for line in told.degraded if "port" in line],
    )


def test_a_port_that_is_taken_changes_nothing_anywhere(site: Estate) -> None:
    administrator, before = Administrator(site), state(site)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = str(taken.getsockname()[1])
        for values in ({TCP: port}, {SSL: port}, {SSL: str(free_port()), TCP: port, "debug": "all"}):
            with pytest.raises(PortInUse, match=port):
                administrator.put(values)
            assert state(site) == before
    with pytest.raises((PortInUse, BadConfiguration)):
        administrator.put({SSL: str(site.ports["tcp"])})
    with pytest.raises(PortInUse):
        administrator.put({TCP: str(site.ports["grpc"]), "TransportListener.tcp.host": "127.0.0.1"})
    assert state(site) == before


def test_the_same_port_again_and_0_which_is_any_change_nothing(site: Estate) -> None:
    administrator = Administrator(site)
    administrator.put({TCP: "0", SSL: "0"})
    before = state(site)
    assert administrator.put({TCP: "0", SSL: "0"}) == ()
    assert state(site) == before
    port = str(free_port())
    administrator.put({TCP: port})
    moved = state(site)
    assert administrator.put({TCP: port}) == ()
    assert state(site) == moved


def test_two_changes_at_once_are_made_one_after_the_other(site: Estate) -> None:
    ports = [free_port(), free_port()]
    errors: list[BaseException] = []

    def put(port: int) -> None:
        try:
            Administrator(site).put({TCP: str(port), DRAIN: "0"})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=put, args=(port,)) for port in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert errors == []
    last = site.ports["tcp"]
    (other,) = {*ports} - {last}
    assert pings(last)
    assert refused(other)
    assert f"{TCP}={last}" in site.home.config.read_text()
    assert Administrator(site).status().tcp_ports[0] == last


def test_a_gateway_that_was_away_catches_up(site: Estate) -> None:
    assert site.gateway is not None
    os.kill(site.gateway.pid, signal.SIGSTOP)
    new = free_port()
    (note,) = Administrator(site).put({TCP: str(new)})
    assert "has not answered" in note
    os.kill(site.gateway.pid, signal.SIGCONT)
    until(lambda: site.ports["tcp"] == new)
    assert pings(new)
    until(lambda: [*Administrator(site).status().tcp_ports][:1] == [new])


def test_a_gateway_killed_in_the_middle_of_a_move_comes_back_on_the_new_port(site: Estate) -> None:
    assert site.gateway is not None
    site.wait_gateway()
    new = free_port()
    notes: list[str] = []
    os.kill(site.gateway.pid, signal.SIGSTOP)
    moving = threading.Thread(target=lambda: notes.extend(Administrator(site).put({TCP: str(new)})))
    moving.start()
    time.sleep(2)  # by then the gateway was told; for 5 s its answer is waited for
    assert moving.is_alive()
    site.kill("gateway")
    moving.join(PATIENCE_S)
    assert ["has not answered" in note for note in notes] == [True]
    assert f"{TCP}={new}" in site.home.config.read_text()
    site.start()
    site.wait_gateway()
    assert site.ports["tcp"] == new
    assert list(Administrator(site).status().tcp_ports) == [new]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_service_killed_in_the_middle_of_a_move_has_after_its_start_what_the_file_says(
    tmp_path: Path, when: str
) -> None:
    first, second = free_port(), free_port()
    with made(tmp_path / "home", keys=1, TransportListener__tcp__port=str(first)) as estate:
        estate.program = ("tests.system.cut_service", when)
        estate.start()
        estate.wait_gateway()
        with pytest.raises(QekmError):
            Administrator(estate).put({TCP: str(second)})
        assert estate.server is not None
        assert estate.server.wait() == -signal.SIGKILL
        assert estate.ports["tcp"] == second  # the gateway had moved, and takes drives on both
        assert pings(first)
        estate.server, estate.program = None, ()
        estate.start()
        estate.wait_gateway()
        wanted = {"before": first, "after": second}[when]
        assert f"{TCP}={wanted}" in estate.home.config.read_text()
        administrator = Administrator(estate)
        until(lambda: administrator.status().tcp_ports[0] == wanted)
        assert estate.ports["tcp"] == wanted
        assert pings(first)
        assert pings(second)  # the one of both that is not wanted drains like any other


def test_a_service_whose_ssl_port_is_taken_starts_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = str(taken.getsockname()[1])
        with made(tmp_path / "home", keys=1, TransportListener__ssl__port=port) as estate:
            told = Administrator(estate.start(gateway=False)).status()
            assert told.ssl_port == 0
            assert any(f"port {port} (TransportListener.ssl.port) is taken" in line for line in told.degraded)


def test_an_ordinary_user_may_not_have_every_port_and_loses_nothing_by_trying() -> None:
    python_as_ordinary("import uvloop, qekm.server")  # the program is one that he can start
    words, port = ordinary(), str(privileged_port())
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="qekm-ordinary-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder)
        estate = stack.enter_context(made(folder / "home", keys=1, TransportListener__ssl__port=port))
        if words:
            folder.chmod(0o755)
            for path in (estate.home.path, *estate.home.path.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        estate.server = Process(estate.home, "server", under=words)
        estate.server.wait_ready()
        estate.gateway = Process(estate.home, "gateway", under=words)
        estate.gateway.wait_ready()
        estate.wait_gateway()
        administrator = Administrator(estate)
        told = administrator.status()
        assert told.ssl_port == 0
        assert any("Permission denied" in line and "CAP_NET_BIND_SERVICE" in line for line in told.degraded)
        before = state(estate)
        with pytest.raises(BadConfiguration, match="Permission denied"):
            administrator.put({TCP: str(int(port) + 1)})
        assert state(estate) == before
        administrator.put({SSL: "0"})
        told = administrator.status()
        assert told.ssl_port
        assert not [line for line in told.degraded if "Permission denied" in line]
