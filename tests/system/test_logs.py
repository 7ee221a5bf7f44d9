"""The logs of the real processes: after kills, while drives work, whoever started them."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.home import Home
from qekm.v1.configuration_pb2 import UpdatePropertiesRequest
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm.v1.groups_pb2 import CreateGroupRequest
from qekm.v1.server_pb2 import GetStatusRequest
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.faults.canary import Canaries
from tests.ports import free_port
from tests.qekm.logs.reading import records_of, sequences
from tests.qekm.logs.receivers import rsyslog
from tests.system.command import run_qekm
from tests.system.processes import Estate, made, run_server
from tests.waiting import wait_for

NATIVE = re.compile(r"EKMServer: (\S+Z) (service|gateway) version \S+, pid (\d+): (.*)")


def audit_log(home: Home) -> Path:
    """Return it."""
    return home.path / "keymanager" / "audit" / "kms_audit.log"


@pytest.mark.parametrize("failpoint", ["commit.after", None])
def test_killed_again_and_again_the_audit_log_has_every_record_once(
    estate: Estate, failpoint: str | None
) -> None:
    """Also where the commit was made and nothing was told of it yet."""
    for number in range(2):
        environ = {"QEKM_FAILPOINT": f"{failpoint}=exit@{4 + 3 * number}"} if failpoint else {}
        estate.start(gateway=False, **environ)
        try:
            with estate.client() as client:
                for group in range(8):
                    client.groups.CreateGroup(CreateGroupRequest(group={"name": f"g{number}x{group}"}))
        except Exception as error:  # it was killed
            assert failpoint, error
        estate.kill()
    estate.start(gateway=False)
    estate.stop()
    with estate.start(gateway=False).client() as client:
        from qekm.v1.audit_pb2 import ListRecordsRequest

        records = client.audit.ListRecords(ListRecordsRequest(page_size=1_000)).records
    estate.stop()
    assert sequences(audit_log(estate.home)) == list(range(1, len(records) + 2))
    told = records_of(audit_log(estate.home).read_bytes())
    assert [each["action"] for each in told][: len(records)] == [record.event for record in records]


class Work:
    """Two drives that write cartridge after cartridge until they are told to stop."""

    def __init__(self, estate: Estate) -> None:
        self.failures: list[BaseException] = []
        self.keys: dict[str, bytes] = {}
        self._over = threading.Event()
        authority = make_authority(now_us())
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        server = Server("127.0.0.1", estate.ports["tcp"])
        anchors = load_anchors([], [estate.home.trust])
        self._threads = []
        for serial in ("001300000392", "001310000363"):
            drive = make_drive(authority, serial, now_us())
            library = Library("LIB1", [drive], [server], anchors, os.urandom, now_us)
            self._threads.append(threading.Thread(target=self._run, args=(library, serial)))

    def _run(self, library: Library, serial: str) -> None:
        try:
            while not self._over.is_set():
                errand = Errand(Ask.CREATE, f"{serial[-3:]}{len(self.keys):03d}L4"[:8], os.urandom(16))
                key = library.request(serial, errand).key
                assert key is not None
                self.keys[f"key {key.alias}"] = key.material
                time.sleep(0.03)
        except BaseException as error:
            self.failures.append(error)

    def __enter__(self) -> Work:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)


def test_debug_is_switched_from_afar_while_two_drives_work_and_no_request_fails(tmp_path: Path) -> None:
    with made(tmp_path / "home", keys=300, drive__creationsPerHour="100000") as estate:
        estate.start()
        estate.wait_gateway()
        log = estate.home.path / "keymanager" / "debug_server"

        def switch(text: str) -> None:
            with estate.client() as client:
                client.configuration.UpdateProperties(UpdatePropertiesRequest(set={"debug": text}))

        with Work(estate) as work:
            assert not log.exists()
            switch("all")
            wait_for(lambda: log.exists() and "key.install/success" in log.read_text())
            log.rename(log.with_name("taken"))
            wait_for(lambda: log.exists() and "key.install/success" in log.read_text())
            switch("none")
            wait_for(lambda: log.read_text().endswith("debug is off\n"))
            size = log.stat().st_size
            time.sleep(0.3)
            assert log.stat().st_size == size
            wait_for(lambda: len(work.keys) > 10 or work.failures)
        assert work.failures == []
        text = log.with_name("taken").read_text() + log.read_text()
        assert 'serial="001300000392"' in text
        assert f"at 127.0.0.1:{estate.ports['tcp']}" in text or f":{estate.ports['tcp']}" in text
        assert [*Canaries(work.keys).search(text.encode(), "the debug log")] == []
        assert estate.stop() == {"gateway": 0, "server": 0}


def native(home: Home) -> list[tuple[str, str]]:
    """Return what native_stdout.log says: of whom, what; each line is one of ours."""
    lines = [NATIVE.fullmatch(line) for line in home.stdout_log.read_text().splitlines()]
    assert all(lines), home.stdout_log.read_text()
    return [(line[2], line[4]) for line in lines if line]


@pytest.fixture
def commanded(tmp_path: Path) -> Iterator[Estate]:
    """Return an estate that `qekm` starts."""
    with made(tmp_path / "home", keys=4) as estate:
        yield estate
        run_qekm(estate.home, "server", "stop")


def test_started_by_qekm_or_by_hand_each_start_and_stop_is_told_once(commanded: Estate) -> None:
    home = commanded.home
    assert run_qekm(home, "server", "start").returncode == 0
    ports = commanded.ports
    assert run_qekm(home, "server", "stop").returncode == 0
    said = native(home)
    whole = [("service", "starting"), ("service", f"started, grpc port {ports['grpc']}")]
    assert [who for who, _ in said] == ["service", "service", "gateway", "gateway", "gateway", "service"]
    assert said[0] == whole[0]
    assert said[1][1].startswith(whole[1][1])
    assert [what for _, what in said[2:]] == [
        "starting",
        f"started, tcp port {ports['tcp']}",
        "stopped",
        "stopped",
    ]
    assert "EKMServer" not in home.stderr_log.read_text()
    commanded.start(gateway=False)
    commanded.stop()
    assert [what.split(",")[0] for _, what in native(home)[6:]] == ["starting", "started", "stopped"]


@pytest.mark.parametrize("how", ["by qekm", "by hand"])
def test_a_failure_to_start_is_told_once_with_its_hint(commanded: Estate, how: str) -> None:
    home = commanded.home
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        text = home.config.read_text().replace("grpc.port=0", f"grpc.port={port}")
        home.config.write_text(text)
        if how == "by qekm":
            assert run_qekm(home, "server", "start").returncode != 0
        else:
            done = run_server("run", "--home", home.path)
            assert "is taken" in done.stderr
    assert native(home)[-1] == ("service", "did not start: see native_stderr.log")
    lines = [line for line in home.stderr_log.read_text().splitlines() if f"port {port}" in line]
    assert len([line for line in lines if "error: " in line]) == 1
    assert "hint: " in home.stderr_log.read_text()


def test_log_and_trail_go_to_a_syslog_server_and_no_restart_is_needed_when_that_restarts(
    tmp_path: Path,
) -> None:
    with rsyslog(tmp_path / "rsyslog", "tcp", port=free_port()) as server:  # which it has again
        with made(tmp_path / "home", keys=4, log__syslog=server.url, log__format="json") as estate:
            estate.start()
            estate.wait_gateway()
            found = server.wait(1, '"server.start"')
            assert found[0]["pri"] == "110"
            server.wait(1, "qekm.service")
            server.wait(1, "qekm_gateway.server")
            server.stop()
            with estate.client() as client:
                for number in range(3):
                    client.groups.CreateGroup(CreateGroupRequest(group={"name": f"g{number}"}))
                wait_for(
                    lambda: [
                        line
                        for line in client.server.GetStatus(GetStatusRequest()).degraded
                        if "syslog" in line
                    ]
                )
            server.start()
            names = [each["structured-data"] for each in server.wait(3, "rpc.CreateGroup")]
            assert len(names) == 3
            assert estate.stop() == {"gateway": 0, "server": 0}
        server.wait(1, '"server.stop"')
