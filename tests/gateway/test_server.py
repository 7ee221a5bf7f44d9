"""The gateway as a process: it listens, connects by mTLS, drains, and says what it cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qekm.configuration.settings import write_defaults
from qekm.home import Home
from qekm.properties.listeners import GATEWAY_METRICS_PORT
from qekm.rpc.tls import Files, server_credentials
from qekm.v1.serving_pb2 import ConfigureCommand, ConfigureReport, ServeResponse
from qekm_gateway.server import main
from tests.fakes.serving_service import Running, ServingService
from tests.gateway.pki import write_pki
from tests.gateway.port import Client
from tests.gateway.test_connection import NOTIFY, PING, code_of, session
from tests.ports import free_port
from tests.waiting import PATIENCE_S, wait_for


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with settings and certificates, as init makes it, but without a store."""
    home = Home(tmp_path / "home")
    home.pki.mkdir(parents=True)
    write_pki(home.pki, "gateway", "server")
    overrides = {
        "TransportListener.tcp.port": "0",
        "TransportListener.tcp.host": "127.0.0.1",
        "grpc.port": "0",
        GATEWAY_METRICS_PORT: "0",
    }
    write_defaults(home.config, overrides)
    return home


@contextlib.contextmanager
def gateway(home: Home, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run the gateway until the block ends."""
    command = [sys.executable, "-m", "qekm_gateway.server", "run", "--home", str(home.path), *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QEKM_")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=kept | environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


def port_of(home: Home, process: subprocess.Popen[str]) -> int:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        running = home.running("gateway")
        if running is not None and running.pid == process.pid:
            return running.ports["tcp"]
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("the gateway did not start")


def connect(port: int, host: str = "127.0.0.1") -> Client:
    client = Client(socket.create_connection((host, port), 20))
    client.socket.settimeout(20)
    return client


@contextlib.asynccontextmanager
async def service(home: Home) -> AsyncIterator[Running]:
    """Run a fake service under the home's certificates, announced as the real one is."""
    files = Files(home.certificate("server"), home.key("server"), home.trust)
    running = Running(ServingService(), server_credentials(files))
    await running.start()
    with home.announced("server", "1", {"grpc": running.port, "health": 1}):
        try:
            yield running
        finally:
            await running.stop()


async def eventually(client: Client) -> list[int]:
    """Hold a session as soon as the service is there."""
    for _ in range(1_000):
        frame = await asyncio.to_thread(client.ask, NOTIFY)
        if frame.type == 0x82:
            return [frame.type]
        client = connect(client.socket.getpeername()[1])
        await asyncio.sleep(0.05)
    raise AssertionError("no session")


async def test_it_finds_the_service_by_mtls_and_finds_it_again_on_another_port(home: Home) -> None:
    with gateway(home) as process:
        port = await asyncio.to_thread(port_of, home, process)
        told = json.loads(home.run_file("gateway").read_text())
        assert told["pid"] == process.pid
        client = connect(port)
        assert client.ask(PING).type == 0x87
        assert code_of(client.ask(NOTIFY)).name == "EE0F"
        for _ in range(2):
            async with service(home) as running:
                assert await eventually(connect(port)) == [0x82]
                hello = running.service.requests[0].hello
                assert hello.addresses == [f"127.0.0.1:{port}"]
                assert hello.pid == process.pid
                assert len(hello.diagnosis_spki) == 91
                assert await asyncio.to_thread(session, connect(port)) == [0x82, 0x84, 0x86]


async def told(running: Running, **properties: str) -> ConfigureReport:
    """Have the gateway put properties in force and return its report; dots in names as two underscores."""
    service = running.service
    count = len(service.requests)
    wanted = {name.replace("__", "."): text for name, text in properties.items()}
    service.tell.put_nowait(ServeResponse(configure=ConfigureCommand(command_id=7, properties=wanted)))
    for _ in range(5_000):
        for request in service.requests[count:]:
            if request.HasField("configure_report"):
                return request.configure_report
        await asyncio.sleep(0.01)
    raise AssertionError("no report")


def debug_lines(running: Running) -> set[str]:
    """Return the texts of the debug lines that the service was told."""
    return {line.text for request in running.service.requests for line in request.debug_lines}


async def test_it_moves_at_the_service_s_word_and_its_run_file_and_its_next_hello_follow(home: Home) -> None:
    async with service(home) as running:
        with gateway(home) as process:
            old = await asyncio.to_thread(port_of, home, process)
            await eventually(connect(old))
            new = free_port()
            report = await told(running, TransportListener__tcp__port=str(new), debug="all")
            assert (report.command_id, report.error) == (7, "")
            assert list(report.addresses) == [f"127.0.0.1:{new}", f"127.0.0.1:{old}"]
            assert await asyncio.to_thread(port_of, home, process) == new
            for port in (old, new):
                assert await asyncio.to_thread(session, connect(port)) == [0x82, 0x84, 0x86]
            await asyncio.to_thread(wait_for, lambda: "connected" in debug_lines(running))
            await running.stop()
            running.service.requests.clear()
            files = Files(home.certificate("server"), home.key("server"), home.trust)
            running.credentials = server_credentials(files)
            await running.start()
            await eventually(connect(new))
            assert running.service.requests[0].hello.addresses == report.addresses
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
            assert not home.run_file("gateway").exists()


async def test_what_its_command_line_or_environment_says_is_kept(home: Home) -> None:
    environment = {"QEKM_PROPERTY_dkp_tls": "required"}
    async with service(home) as running:
        with gateway(home, "--tcp-port", "0", **environment) as process:
            port = await asyncio.to_thread(port_of, home, process)
            await asyncio.to_thread(wait_for, lambda: running.service.requests)
            report = await told(running, TransportListener__tcp__port=str(free_port()), dkp__tls="optional")
            assert (report.error, list(report.addresses)) == ("", [f"127.0.0.1:{port}"])
            assert await asyncio.to_thread(port_of, home, process) == port
            assert code_of(await asyncio.to_thread(connect(port).ask, PING)).name == "EE23"


async def test_sigterm_lets_the_step_in_flight_finish_and_exits_0(home: Home) -> None:
    async with service(home) as running:
        with gateway(home) as process:
            port = await asyncio.to_thread(port_of, home, process)
            await eventually(connect(port))
            idle, busy = connect(port), connect(port)
            idle.ask(PING)
            running.service.going.clear()
            count = len(running.service.batches)
            busy.send(NOTIFY)
            while len(running.service.batches) == count:
                await asyncio.sleep(0.01)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(idle.closed)
            with pytest.raises(OSError, match="refused"):
                connect(port)
            running.service.going.set()
            assert (await asyncio.to_thread(busy.frame)).type == 0x82
            assert await asyncio.to_thread(busy.closed)
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
            assert time.monotonic() - begun < 8
            assert not home.run_file("gateway").exists()
            # The session that was given an id just now is reported as ended.
            assert any(request.session_ends for request in running.service.requests)


async def test_sigterm_with_a_service_that_does_not_answer_ends_all_the_same(home: Home) -> None:
    async with service(home) as running:
        with gateway(home) as process:
            port = await asyncio.to_thread(port_of, home, process)
            await eventually(connect(port))
            running.service.going.clear()
            busy, count = connect(port), len(running.service.batches)
            busy.send(NOTIFY)
            await asyncio.to_thread(wait_for, lambda: len(running.service.batches) > count)
            process.send_signal(signal.SIGTERM)
            assert code_of(await asyncio.to_thread(busy.frame)).name == "EE0F"
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0


def test_tls_goes_by_the_gateway_s_own_certificate_and_can_be_required(home: Home) -> None:
    with gateway(home, QEKM_PROPERTY_dkp_tls="required") as process:
        port = port_of(home, process)
        with connect(port) as client:
            assert code_of(client.ask(PING)).name == "EE23"
        with connect(port).over_tls(home.trust) as client:
            assert client.ask(PING).type == 0x87


def test_it_listens_on_both_families_by_default_and_names_a_port_that_is_taken(home: Home) -> None:
    write_defaults(home.config, {"grpc.port": "0"})
    with gateway(home, "--tcp-port", "0") as process:
        port = port_of(home, process)
        with connect(port) as four, connect(port, "::1") as six:
            assert four.ask(PING).type == six.ask(PING).type == 0x87
        with gateway(home, "--tcp-port", str(port)) as second:
            _, said = second.communicate(timeout=PATIENCE_S)
            assert second.returncode == 6
            assert f"qekm-gateway: error: port {port}" in said
            assert "qekm-gateway: hint: " in said
            assert "Traceback" not in said
        assert port_of(home, process) == port


def test_what_cannot_be_used_is_named(tmp_path: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--home", str(tmp_path / "none")]) == 6
    assert "no key manager" in capsys.readouterr().err
    home.config.write_text("dkp.tls=perhaps\n")
    assert main(["run", "--home", str(home.path)]) == 2
    assert "dkp.tls" in capsys.readouterr().err
    home.config.write_text("TransportListener.tcp.host=203.0.113.77\nTransportListener.tcp.port=0\n")
    assert main(["run", "--home", str(home.path)]) == 2
    assert "203.0.113.77" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["run", "--tcp-port", "70000"])
    assert ended.value.code == 2
    assert "70000" in capsys.readouterr().err


def test_it_leaves_no_core(home: Home) -> None:
    with gateway(home) as process:
        port_of(home, process)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max core")).split()[4] == "0"


def test_a_port_of_metrics_that_is_taken_is_said_and_drives_are_taken_all_the_same(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = str(taken.getsockname()[1])
        with gateway(home, QEKM_PROPERTY_gateway_metrics_port=metrics) as process:
            assert connect(port_of(home, process)).ask(PING).type == 0x87
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE_S)
    assert f"DEGRADED: no metrics: 127.0.0.1 port {metrics} (gateway.metrics.port): " in said
