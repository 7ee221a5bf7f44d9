"""Starting and stopping, tried on small programs that announce themselves as the real ones do."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.errors import NotInitialised, ServiceAway
from qekm.home import Home
from qekm_cli import processes
from qekm_cli.processes import GATEWAY, SERVICE, Log, end_of, program, runs, start, terminate, wait_until
from tests.waiting import wait_for

PART = """#!{python}
import os, signal, sys, time
from pathlib import Path
from qekm.home import Home
home = Home(Path(sys.argv[sys.argv.index("--home") + 1]))
print("arguments", *sys.argv[1:], "session", os.getsid(0) == os.getpid(), flush=True)
print("to stderr", file=sys.stderr, flush=True)
if "--password-fd" in sys.argv:
    print("password", os.read(int(sys.argv[-1]), 99), flush=True)
if (home.path / "broken").exists():
    print("error: port 3802 is taken", file=sys.stderr)
    sys.exit(6)
stubborn = (home.path / "stubborn").exists()
signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: sys.exit(0))
with home.announced("{name}", "0", {{"grpc": 1}}):
    if (home.path / "forking").exists() and (left := os.fork()):
        (home.path / "left").write_text(str(left))
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("server", "gateway"):
        file = binaries / f"qekm-{name}"
        file.write_text(PART.format(python=sys.executable, name=name))
        file.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(binaries / "qekm")])
    home = Home(tmp_path / "home")
    (home.path / "run").mkdir(parents=True)
    yield home
    for part in (SERVICE, GATEWAY):
        if told := home.running(part.name):
            os.kill(told.pid, signal.SIGKILL)


def started(home: Home, descriptor: int | None = None) -> "subprocess.Popen[bytes]":
    log = Log.from_here(home.stderr_log)
    process = start(SERVICE, home, descriptor)
    wait_until(lambda: home.running("server") is not None, SERVICE, process, log, time.monotonic() + 20)
    return process


def test_a_part_starts_in_a_session_of_its_own_and_its_output_is_appended_to_private_logs(home: Home) -> None:
    home.stdout_log.parent.mkdir()
    home.stdout_log.write_text("before\n")
    process = started(home)
    assert home.stdout_log.read_text().splitlines() == [
        "before",
        f"arguments run --home {home.path} session True",
    ]
    assert home.stderr_log.read_text() == "to stderr\n"
    assert home.stderr_log.stat().st_mode & 0o777 == 0o600
    assert terminate(SERVICE, home)
    assert process.wait(5) == 0


def test_a_password_reaches_the_part_through_a_descriptor_only(home: Home) -> None:
    from qekm_cli.passwords import hand_over

    descriptor = hand_over("correct horse")
    started(home, descriptor)
    os.close(descriptor)
    told = home.stdout_log.read_text()
    assert "password b'correct horse\\n'" in told
    assert "correct horse" not in told.splitlines()[0]
    assert terminate(SERVICE, home)


def test_a_part_that_ends_at_once_is_an_error_with_the_end_of_its_log(home: Home) -> None:
    (home.path / "broken").touch()
    home.stderr_log.parent.mkdir()
    home.stderr_log.write_text("old trouble\n")
    with pytest.raises(ServiceAway) as caught:
        started(home)
    assert caught.value.message.splitlines() == [
        "the service did not start: it ended with 6",
        "service: to stderr",
        "service: error: port 3802 is taken",
    ]
    assert str(home.stderr_log) in caught.value.advice


def test_a_part_that_does_not_answer_in_time_is_an_error(home: Home) -> None:
    log = Log.from_here(home.stderr_log)
    process = start(SERVICE, home)
    with pytest.raises(ServiceAway, match="it does not answer after 60 s"):
        wait_until(lambda: False, SERVICE, process, log, time.monotonic() + 0.3)
    process.kill()
    process.wait()


def test_what_does_not_run_is_not_stopped(home: Home) -> None:
    assert not terminate(SERVICE, home)
    assert not end_of(GATEWAY, home, lambda: pytest.fail("nobody is to be asked"))


def test_a_part_does_not_run_that_was_killed_while_it_started_another_program(home: Home) -> None:
    (home.path / "forking").touch()
    process = started(home)
    wait_for((home.path / "left").exists)
    assert runs(SERVICE, home)
    process.kill()
    wait_for(lambda: not runs(SERVICE, home))  # nobody has waited for it
    process.wait()
    try:
        assert home.running(SERVICE.name) is not None, "what it left behind does not hold its run file's lock"
        assert not runs(SERVICE, home)
    finally:
        os.kill(int((home.path / "left").read_text()), signal.SIGKILL)


def test_a_stranger_with_the_pid_of_an_old_run_file_is_left_alone(home: Home) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    home.run_file("server").write_text(f'{{"pid": {stranger.pid}, "version": "0", "ports": {{}}}}')
    assert not terminate(SERVICE, home)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_part_that_ignores_the_signal_is_an_error_and_not_killed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.path / "stubborn").touch()
    process = started(home)
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.2)
    with pytest.raises(ServiceAway, match="was asked to stop and still runs"):
        terminate(SERVICE, home)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_part_that_is_asked_and_ends_was_stopped(home: Home) -> None:
    process = started(home)
    assert end_of(SERVICE, home, process.terminate)
    assert process.wait(5) == 0


def test_a_program_that_is_not_installed_is_named(home: Home) -> None:
    assert program("qekm-server").startswith(str(Path(sys.argv[0]).parent))
    with pytest.raises(NotInitialised, match="qekm-nothing is not installed"):
        program("qekm-nothing")


def test_one_at_a_time_starts_parts(tmp_path: Path) -> None:
    with (
        processes.starting(Home(tmp_path)),
        (tmp_path / "run" / "start.lock").open() as second,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
