"""Where a key manager lives, and which of its processes are running."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qekm.errors import NotInitialised, StoreFailed
from qekm.home import DEFAULT, Home
from tests.ordinary import NOBODY, open_to_all, python_as_ordinary


def test_the_option_wins_over_the_environment_and_that_over_the_default(tmp_path: Path) -> None:
    environ = {"QEKM_HOME": str(tmp_path / "b")}
    assert Home.find(tmp_path / "a", environ).path == tmp_path / "a"
    assert Home.find(None, environ).path == tmp_path / "b"
    assert Home.find(None, {}).path == DEFAULT


def test_a_relative_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.find("here").path == tmp_path / "here"


def test_every_path_lies_below_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = [home.config, home.root_key, home.store, home.trust, home.run, home.stdout_log, home.stderr_log]
    paths += [home.certificate("server"), home.key("server"), home.run_file("gateway")]
    assert all(tmp_path in path.parents for path in paths)


def test_an_empty_directory_is_no_key_manager_and_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised, match=str(tmp_path)) as caught:
        Home(tmp_path).require()
    assert "qekm init" in caught.value.advice


def test_a_process_is_seen_while_it_is_announced_and_not_after(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.running("server") is None
    with home.announced("server", "1.2.3", {"grpc": 3802}):
        told = home.running("server")
        assert told is not None
        assert (told.version, dict(told.ports)) == ("1.2.3", {"grpc": 3802})
        assert home.run_file("server").stat().st_mode & 0o777 == 0o600
    assert home.running("server") is None
    assert list(home.run.iterdir()) == []


def test_other_ports_are_told_in_place_of_those_before_and_no_reader_ever_misses_the_process(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    with home.announced("server", "1", {"grpc": 0}) as announce:
        seen = []
        reading = threading.Event()

        def read() -> None:
            while not seen or not reading.is_set():
                seen.append(home.running("server"))

        reader = threading.Thread(target=read)
        reader.start()
        for port in range(1, 200):
            announce({"grpc": port})
        reading.set()
        reader.join()
        assert None not in seen
        assert len({told.ports["grpc"] for told in seen if told is not None}) > 1
        assert home.running("server").ports == {"grpc": 199}  # type: ignore[union-attr]
        home.run_file("server").unlink()
        home.run.rmdir()
        home.run.write_text("in the way")
        with pytest.raises(StoreFailed):
            announce({"grpc": 1})
        home.run.unlink()
        announce({"grpc": 2})
    assert home.running("server") is None
    assert list(home.run.iterdir()) == []


def test_what_a_killed_process_left_does_not_count_as_running(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from qekm.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).announced('server', '1', {'grpc': 1}): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    home = Home(tmp_path)
    assert done.returncode == -9
    assert json.loads(home.run_file("server").read_text())["ports"] == {"grpc": 1}
    assert home.running("server") is None


def test_a_kill_in_the_middle_of_announcing_leaves_nothing_that_the_next_start_leaves_too(
    tmp_path: Path,
) -> None:
    program = (
        "import os, sys, pathlib; from qekm.home import Home\n"
        "pathlib.Path.rename = lambda *_: os.kill(os.getpid(), 9)\n"
        "with Home(pathlib.Path(sys.argv[1])).announced('server', '1', {'grpc': 1234567}): pass"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    home = Home(tmp_path)
    assert done.returncode == -9
    assert len([*home.run.iterdir()]) == 1
    with home.announced("server", "2", {"grpc": 1}):
        assert [*home.run.iterdir()] == [home.run_file("server")]
        assert json.loads(home.run_file("server").read_text())["version"] == "2"
    assert [*home.run.iterdir()] == []


@pytest.mark.root
def test_what_another_user_left_in_the_middle_of_announcing_is_in_nobody_s_way(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root leaves files that are in another user's way")
    home = Home(tmp_path / "home")
    home.run.mkdir(parents=True)
    (home.run / ".server.json").touch(0o600)
    for path in (home.path, home.run):
        os.chown(path, NOBODY, NOBODY)
    open_to_all(tmp_path)
    code = (
        "import pathlib; from qekm.home import Home\n"
        f"home = Home(pathlib.Path({str(home.path)!r}))\n"
        "with home.announced('server', '1', {'grpc': 1}): print(home.running('server').version)"
    )
    assert python_as_ordinary(code) == "1\n"


def test_of_two_that_announce_at_the_same_time_one_is_told_so(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    with (home.run / ".server.json").open("w") as other:
        other.write("not yet whole")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreFailed), home.announced("server", "1", {"grpc": 1}):
            raise AssertionError
    assert (home.run / ".server.json").read_text() == "not yet whole"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}', '{"pid": 1, "ports": 3}'])
def test_a_damaged_run_file_is_no_running_process(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    home.run_file("server").write_text(text)
    assert home.running("server") is None


def test_a_run_file_that_cannot_be_written_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with (
        pytest.raises(StoreFailed, match=r"cannot write .*server\.json: "),
        Home(tmp_path).announced("server", "1", {"grpc": 1}),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    "told",
    [
        "[]",
        '{"pid": 1e400, "ports": {"grpc": 1}}',
        '{"pid": -1, "ports": {"grpc": 1}}',
        '{"pid": 1, "ports": {}}',
        '{"pid": 1, "ports": {"grpc": "a"}}',
        '{"pid": 1, "ports": [1]}',
    ],
)
def test_a_run_file_that_was_edited_in_place_tells_nothing(tmp_path: Path, told: str) -> None:
    home = Home(tmp_path)
    with home.announced("server", "1", {"grpc": 1}):
        assert home.running("server") is not None
        home.run_file("server").write_text(told)  # the lock is still held
        assert home.running("server") is None
