"""The service as a process: started, asked, stopped, killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from qekm.errors import ServiceAway
from qekm.home import Home
from qekm.v1 import keystore_pb2, server_pb2
from tests.system.processes import Estate, Process, made, run_server

STATUS = server_pb2.GetStatusRequest()


def test_the_service_starts_answers_and_ends_with_zero_when_asked_to(started: Estate) -> None:
    with started.client() as client:
        status = client.server.GetStatus(STATUS)
        assert started.server is not None
        assert status.pid == started.server.pid
        assert status.ready_key_count == 32
    begun = time.monotonic()
    assert started.stop() == {"server": 0}
    assert time.monotonic() - begun < 10
    assert started.home.running("server") is None
    assert not started.home.run_file("server").exists()
    with started.client() as client, pytest.raises(ServiceAway):
        client.server.GetStatus(STATUS)


def test_the_service_ends_with_zero_when_the_call_asks_for_it(started: Estate) -> None:
    assert started.server is not None
    with started.client() as client:
        client.server.StopServer(server_pb2.StopServerRequest())
    assert started.server.wait() == 0


def test_an_interrupt_from_the_keyboard_drains_like_a_termination(started: Estate) -> None:
    assert started.server is not None
    os.kill(started.server.pid, signal.SIGINT)
    assert started.server.wait() == 0
    assert "Traceback" not in started.server.said()


def test_calls_under_way_when_the_service_is_asked_to_stop_are_answered(started: Estate) -> None:
    assert started.server is not None
    with started.client() as client:
        started.unlock(client)
        # A second's work: it has six to end (service.GRACE_S), and other tests run on the same processors.
        stream = client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=4_000))
        next(iter(stream))
        os.kill(started.server.pid, signal.SIGTERM)
        last = [answer.done for answer in stream][-1]
    assert started.server.wait() == 0
    assert last == 4_000


def test_a_second_service_on_the_same_home_is_refused_with_the_pid_of_the_first(started: Estate) -> None:
    assert started.server is not None
    second = run_server("run", "--home", started.home.path)
    assert second.returncode == 6
    assert f"process {started.server.pid} has the store" in second.stderr
    assert "hint: one service owns a store" in second.stderr
    told = started.home.running("server")
    assert told is not None
    assert told.pid == started.server.pid


def test_a_second_service_on_the_same_port_is_refused_and_the_port_named(
    started: Estate, tmp_path: Path
) -> None:
    port = started.ports["grpc"]
    with made(tmp_path / "second", grpc__port=str(port)) as other:
        done = run_server("run", "--home", other.home.path)
        assert done.returncode == 6
        assert f"127.0.0.1 port {port} (grpc.port) is taken" in done.stderr
        assert "Traceback" not in done.stderr
    with started.client() as client:
        assert (
            client.server.GetStatus(STATUS).pid
            == json.loads(started.home.run_file("server").read_text())["pid"]
        )


def test_a_killed_service_keeps_every_key_it_has_told_of(started: Estate) -> None:
    with started.client() as client:
        started.unlock(client)
        stream = client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=50_000))
        done = 0
        for answer in stream:
            done = answer.done
            if done >= 640:
                break
        started.kill()
    assert started.home.run_file("server").exists()
    assert started.home.running("server") is None
    started.start(gateway=False)
    with started.client() as client:
        assert client.server.GetStatus(STATUS).ready_key_count >= 32 + done
    started.stop()
    done_check = run_server("audit-verify", started.home.path)
    assert done_check.returncode == 0, done_check.stdout


def test_a_trail_that_a_killed_service_left_is_checked_with_its_log(started: Estate) -> None:
    with started.client() as client:
        started.unlock(client)
        list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=64)))
    started.kill()
    assert (started.home.store_directory / "qekm.db-wal").exists()
    checked = run_server("audit-verify", started.home.path)
    assert checked.returncode == 0, checked.stdout
    assert "7 records" in checked.stdout


def test_a_wrong_missing_or_public_key_file_is_named(estate: Estate, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_bytes(bytes(32))
    for mode, words in ((0o600, "the key file does not open this store"), (0o644, "can be read by others")):
        other.chmod(mode)
        done = run_server("run", "--home", estate.home.path, "--key-file", other)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    missing = run_server("run", "--home", estate.home.path, "--key-file", tmp_path / "none")
    assert missing.returncode == 2
    assert f"the key file {tmp_path / 'none'} cannot be read" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_password_comes_from_a_file_or_a_descriptor_and_is_asked_for_by_name(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery staple\n")
    with made(tmp_path / "home", "--no-key-file", "--password-file", str(password)) as estate:
        without = run_server("run", "--home", estate.home.path)
        assert without.returncode == 2
        assert "--password-file" in without.stderr
        wrong = tmp_path / "wrong"
        wrong.write_text("incorrect horse")
        refused = run_server("run", "--home", estate.home.path, "--password-file", wrong)
        assert refused.returncode == 2
        assert "the password does not open this store" in refused.stderr
        estate.start(gateway=False, arguments=("--password-file", str(password)))
        estate.stop()
        reader, writer = os.pipe()
        os.write(writer, password.read_bytes())
        os.close(writer)
        process = Process(estate.home, "server", "--password-fd", str(reader), pass_fds=(reader,))
        os.close(reader)
        try:
            process.wait_ready()
        finally:
            assert process.stop() == 0


def test_a_setting_that_cannot_be_is_named_with_its_line(estate: Estate) -> None:
    with estate.home.config.open("a") as config:
        config.write("\ndrive.creationsPerHour=many\n")
    done = run_server("run", "--home", estate.home.path)
    assert done.returncode == 2
    assert "drive.creationsPerHour" in done.stderr
    assert "line" in done.stderr


def test_a_damaged_store_is_told_and_not_served(estate: Estate) -> None:
    with estate.home.store.open("r+b") as store:
        store.write(bytes(100))
    done = run_server("run", "--home", estate.home.path)
    assert done.returncode == 11
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_the_service_at_once_and_it_recovers_at_the_next_start(started: Estate) -> None:
    assert started.server is not None
    # What the kernel does when a file may not grow: the write fails, as it does on a full disk.
    import resource

    with started.client() as client:
        started.unlock(client)
    resource.prlimit(started.server.pid, resource.RLIMIT_FSIZE, (4_096, 4_096))
    with started.client() as client, pytest.raises(Exception):  # noqa: B017
        list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=10_000)))
    assert started.server.wait() == 11
    assert "a write to the store failed" in started.server.said()
    started.start(gateway=False)
    with started.client() as client:
        assert client.server.GetStatus(STATUS).ready_key_count >= 32


def test_no_core_is_left_and_the_memory_is_closed_to_others(started: Estate) -> None:
    assert started.server is not None
    limits = Path(f"/proc/{started.server.pid}/limits").read_text()
    (line,) = (each for each in limits.splitlines() if each.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]
    assert Path(f"/proc/{started.server.pid}/environ").stat().st_uid == 0


def test_a_home_is_found_in_the_environment(estate: Estate) -> None:
    done = run_server("audit-verify")
    assert done.returncode == 6
    assert str(Home.find(None, {}).path) in done.stderr
