"""`qekm server` against a service in memory; the processes themselves are in test_processes.py."""

from pathlib import Path

import pytest

from qekm import __version__
from qekm.errors import NotAllowed, NotInitialised, ServiceAway
from qekm.home import Home

from .conftest import Qekm
from .fake_service import FakeService


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "run").mkdir()
    return Home(tmp_path)


def test_status_of_a_whole_key_manager_ends_with_0(qekm: Qekm) -> None:
    told = qekm("server", "status", "--target", "key-manager:3802")
    assert told.code == 0
    assert told.lines == [
        "service  running, version 0.1.0, pid 4711, since 2027-01-15T08:00:00Z",
        "gateway  running, version 0.1.0, pid 4712, drives at [::]:3801",
        "keys     1,024 ready",
        "drives   2",
        f"anchor   {bytes(32).hex()}",
        "DEGRADED keys are on this disk only (keystore.protect=none)",
    ]


def test_status_tells_of_connections_that_came_to_nothing(qekm: Qekm, service: FakeService) -> None:
    service.server.status.ssl_refused = 1234
    assert "refused  1,234 connections to the SSL port, or silent" in qekm("server", "status").lines


def test_status_as_json_has_everything_the_service_says(qekm: Qekm) -> None:
    document = qekm("server", "status", "--json").document
    assert (document["service"], document["gateway"]) == ("running", "running")
    assert document["status"]["gateways"][0]["addresses"] == ["[::]:3801"]
    assert document["status"]["ready_key_count"] == 1024


def test_status_names_the_service_that_is_down(qekm: Qekm, service: FakeService, home: Home) -> None:
    service.server.away = ServiceAway("nobody answers at localhost:3802")
    told = qekm("server", "status", "--home", str(home.path))
    assert told.code == 5
    assert told.lines == ["service  down: nobody answers at localhost:3802", "gateway  down"]
    with home.announced("gateway", "0.1.0", {"tcp": 3801}):
        told = qekm("server", "status", "--home", str(home.path), "--json")
    assert told.document == {
        "service": "down",
        "gateway": "disconnected",
        "reason": "nobody answers at localhost:3802",
    }


def test_status_names_the_gateway_that_is_down(qekm: Qekm, service: FakeService, home: Home) -> None:
    del service.server.status.gateways[:]
    told = qekm("server", "status", "--home", str(home.path))
    assert told.code == 5
    assert told.lines[1] == "gateway  down"
    with home.announced("gateway", "0.1.0", {"tcp": 3801}):
        assert qekm("server", "status", "--home", str(home.path)).lines[1] == "gateway  disconnected"
    assert qekm("server", "status", "--target", "far:3802").lines[1] == "gateway  unknown"


def test_status_where_there_is_no_key_manager_says_so(qekm: Qekm, service: FakeService) -> None:
    service.server.away = NotInitialised("there is no key manager in /x")
    told = qekm("server", "status")
    assert told.code == 6
    assert told.err == "qekm: error: there is no key manager in /x\nqekm: hint: make one with: qekm init\n"


def test_version_works_with_and_without_a_service(qekm: Qekm, service: FakeService) -> None:
    assert qekm("server", "version").out == f"qekm     {__version__}\nservice  0.1.0\n"
    service.server.away = ServiceAway("nobody answers")
    told = qekm("server", "version")
    assert (told.code, told.out) == (0, f"qekm     {__version__}\nservice  no answer (nobody answers)\n")
    assert qekm("server", "version", "--json").document == {"qekm": __version__, "service": None}


def test_stop_of_a_far_service_asks_it_and_touches_no_process_here(qekm: Qekm, service: FakeService) -> None:
    assert qekm("server", "stop", "--target", "far:3802").out == "the service was asked to stop\n"
    assert service.server.stopped
    service.server.away = NotAllowed("an auditor may not")
    assert qekm("server", "stop", "--target", "far:3802").code == 7


def test_stop_where_nothing_runs_says_so(qekm: Qekm, service: FakeService, home: Home) -> None:
    told = qekm("server", "stop", "--home", str(home.path))
    assert (told.code, told.out) == (0, "nothing was running\n")
    assert not service.server.stopped


def test_start_needs_a_key_manager(qekm: Qekm, home: Home) -> None:
    told = qekm("server", "start", "--home", str(home.path))
    assert told.code == 6
    assert "qekm: hint: make one with: qekm init" in told.err


def test_start_of_what_runs_does_nothing(qekm: Qekm, home: Home) -> None:
    home.config.touch()
    home.store_directory.mkdir()
    home.store.touch()
    with home.announced("server", "0.1.0", {"grpc": 1}), home.announced("gateway", "0.1.0", {"tcp": 2}):
        told = qekm("server", "start", "--home", str(home.path))
    assert (told.code, told.out) == (0, "service and gateway run already\n")
    assert qekm("server", "start", "now", "--home", str(home.path)).code == 2
