"""`qekm-server config`: the settings of a stopped service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.errors import EXIT_CODES, InvalidError, NotFoundError, StateError
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.properties import PROPERTIES
from qekm.server import run
from tests.ordinary import ordinary
from tests.qekm.api.running import running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a key manager without keys."""
    home = Home(tmp_path / "home")
    make(home, Wanted(keys=0, properties={"keystore.protect": "none", "grpc.port": "0"}), now_us)
    return home


def config(home: Home, *words: str) -> int:
    """Run the program and return its exit code."""
    verb, *rest = words
    return run(["config", verb, "--home", str(home.path), *rest])


def test_properties_are_set_and_unset_and_what_became_of_them_is_told(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    before = home.config.read_bytes()
    assert config(home, "set", "backup.command=scp -q {} x:", "twoPerson=off", "grpc.port=0") == 0
    told = "backup.command: (empty) -> scp -q {} x:\ntwoPerson: on -> off\n"
    assert capsys.readouterr().out == told
    settings = Settings.load(home.config, {})
    assert (settings["backup.command"], settings["twoPerson"]) == ("scp -q {} x:", "off")
    assert home.config.with_name(f"{home.config.name}.1").read_bytes() == before
    before = home.config.read_bytes()
    assert config(home, "set", "--unset=twoPerson", "--", "sync.action=x", "nonsense=1") != 0
    assert config(home, "set") != 0
    assert home.config.read_bytes() == before, "all or none"
    assert config(home, "set", "--unset=twoPerson", "--", "sync.action=x") == 0
    settings = Settings.load(home.config, {})
    assert (settings["twoPerson"], settings.text("sync.action")) == ("on", "x")
    assert config(home, "set", "--unset=sync.action", "twoPerson=off") == 0
    capsys.readouterr()
    assert config(home, "unset", "twoPerson") == 0
    assert capsys.readouterr().out == "twoPerson: off -> on\n"
    assert config(home, "set", "sync.type=all", "Server.password=hunter2") == 0
    out = capsys.readouterr().out
    assert "sync.type: drivetab -> all\nsync.type is kept and means nothing here: Servers are enrolled" in out
    assert "hunter2" not in out


def test_the_list_says_where_each_value_is_from(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config(home, "set", "Server.password=hunter2", "default.drive.alias1=tapes")
    with home.config.open("a") as file:
        file.write("no.such=1\n")
    monkeypatch.setenv("QEKM_PROPERTY_dkp_tls", "required")
    capsys.readouterr()
    assert config(home, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PROPERTIES) + 1
    assert lines == sorted(lines, key=lambda line: line.partition("=")[0])
    assert {
        "drive.default.alias1=tapes",
        "dkp.tls=required  (environment)",
        "no.such=1  (unknown)",
        "Server.password=(not shown)  (kept)",
        "sync.type=drivetab  (default, kept)",
        "grpc.port=0",
    } <= set(lines)
    assert config(home, "list", "default.drive.alias1", "no.such") == 0
    assert capsys.readouterr().out == "drive.default.alias1=tapes\nno.such=1  (unknown)\n"


def test_no_value_forges_a_line_or_steers_the_terminal(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with home.config.open("a") as file:
        file.write("no.such=1\\ntwoPerson=off\\u001b[1A\nno\\u0007.bell=C:\\\\x\n")
    assert config(home, "list", "no.such", "no\a.bell") == 0
    assert capsys.readouterr().out == (
        "no\\x07.bell=C:\\x  (unknown)\nno.such=1\\ntwoPerson=off\\x1b[1A  (unknown)\n"
    )
    assert config(home, "set", "sync.type=a\nb") == EXIT_CODES[InvalidError]
    assert "sync.type must be text without control characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (["set", "grpc.port=x"], InvalidError, "grpc.port must be a whole number"),
        (["set", "grpc.port=1", "nonsense=1"], NotFoundError, "there is no property nonsense"),
        (["set", "grpc.port"], InvalidError, "NAME=VALUE"),
        (["unset", "nonsense"], NotFoundError, "there is no property nonsense"),
        (["list", "nonsense"], NotFoundError, "there is no property nonsense"),
    ],
)
def test_what_cannot_be_changes_nothing(
    home: Home, capsys: pytest.CaptureFixture[str], words: list[str], kind: type, told: str
) -> None:
    before = home.config.read_bytes()
    assert config(home, *words) == EXIT_CODES[kind]
    assert told in capsys.readouterr().err
    assert home.config.read_bytes() == before


def test_there_must_be_a_key_manager(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert config(Home(tmp_path), "set", "twoPerson=off") == EXIT_CODES[StateError]
    assert "there is no key manager" in capsys.readouterr().err


async def test_nothing_is_changed_while_the_service_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path / "home") as run:
        before = run.home.config.read_bytes()
        assert config(run.home, "set", "twoPerson=off") == EXIT_CODES[StateError]
        error = capsys.readouterr().err
        assert "has the store in" in error
        assert "qekm config set" in error
        assert run.home.config.read_bytes() == before
        assert config(run.home, "list", "twoPerson") == 0, "looking is free"
    assert config(run.home, "set", "twoPerson=off") == 0
    async with running(tmp_path / "home") as run:
        records = [record for record in await run.records() if "twoPerson" in record.message]
        assert [record.event for record in records] == ["configuration.change", "server.start"]
        assert records[0].message == "twoPerson: on -> off"
        status = "\n".join(run.service.lines())
        assert "twoPerson" not in status  # told by the servicer, not by a part
        assert not run.service.owners.approvals.two_person


def test_an_ordinary_user_changes_nothing_that_he_cannot_read(home: Home, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("every file here is this user's own")
    for each in (tmp_path, *tmp_path.parents):
        if each != Path("/") and each.stat().st_uid == 0:
            each.chmod(each.stat().st_mode | 0o755)
    home.path.chmod(0o755)
    home.store_directory.chmod(0o755)
    home.config.chmod(0o600)
    before = home.config.read_bytes()
    reading = [*ordinary(), "cat", str(home.config)]
    assert subprocess.run(reading, capture_output=True, check=False).returncode
    program = [*ordinary(), sys.executable, "-m", "qekm.server", "config", "list", "--home", str(home.path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("the checkout is in a directory that an ordinary user cannot read")
    assert done.returncode == 2
    assert f"cannot read {home.config}: Permission denied" in done.stderr
    assert "it belongs to user root" in done.stderr
    assert home.config.read_bytes() == before
