"""The verbs of the original's family against the real service and gateway, as an operator types them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm import __version__
from qekm_cli.app import run, say
from qekm_cli.connection import Invocation
from tests.system.staging import Stage, staged

TAPE = "E01001L4"  # what every drive of a stage writes


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Give a key manager that runs, and whose drives wrote one cartridge."""
    with staged(tmp_path_factory.mktemp("family") / "home") as running:
        yield running


@pytest.fixture
def ask(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a function that runs a command line in this process and returns its code and what it said."""

    def command(*words: str) -> tuple[int, str, str]:
        ending = run([*words, "--home", str(stage.estate.home.path)], Invocation())
        say(ending)
        return ending.code, *capsys.readouterr()

    return command


@pytest.fixture
def bad(ask: Any) -> Any:
    """Give a function that runs what must fail with a code and returns what is said of it."""

    def command(code: int, *words: str) -> str:
        ended, out, err = ask(*words)
        assert (ended, out) == (code, ""), err
        assert isinstance(err, str)
        return err

    return command


@pytest.fixture
def good(ask: Any) -> Any:
    """Give a function that runs what must work and returns its lines."""

    def command(*words: str) -> list[str]:
        ended, out, err = ask(*words)
        assert (ended, err) == (0, ""), err
        assert isinstance(out, str)
        return out.splitlines()

    return command


@pytest.fixture
def rows(good: Any) -> Any:
    """Give a function that runs what must work and returns the one list of its document."""

    def command(*words: str) -> list[dict[str, Any]]:
        (found,) = json.loads("".join(good(*words, "--json"))).values()
        assert isinstance(found, list)
        return found

    return command


def test_status_and_version_in_the_original_s_words(stage: Stage, ask: Any, good: Any) -> None:
    code, line, err = ask("status")
    assert code == 0
    assert err.startswith("DEGRADED ")
    assert line.startswith(f"Server is running. TCP port: {stage.estate.ports['tcp']}, SSL port: ")
    assert good("version") == [f"Quantum EKM Server Version: {__version__}"]


def test_a_drive_is_added_changed_listed_and_removed(good: Any, bad: Any, rows: Any) -> None:
    before = good("listdrives")
    assert before[0] == f"Drive entries: {len(before) - 1}"
    good("adddrive", "-drivename", "1300000392", "-symrec", "default")
    assert good("listdrives", "-drivename", "1300000392") == [
        "Drive entries: 1",
        "SerialNumber = 001300000392",
    ]
    assert "  KeyGroup = default" in good("listdrives", "-drivename", "001300000392", "-verbose")
    key = rows("keys", "list", "--state", "ready")[0]["alias"]
    good("moddrive", "-drivename", "1300000392", "-symrec", key)
    verbose = good("listdrives", "-drivename", "001300000392", "-v")
    assert {f"  KeyAlias = {key}", "  KeyGroup = the default group"} < set(verbose)
    bad(4, "adddrive", "-drivename", "001300000392")
    bad(2, "adddrive", "-drivename", "NEW", "-rec1", "cert")
    bad(3, "adddrive", "-drivename", "NEW", "-symrec", "none")
    good("deldrive", "-drivename", "1300000392")
    bad(3, "listdrives", "-drivename", "1300000392")
    assert good("listdrives") == before


def test_the_keystore_is_listed(good: Any, bad: Any, rows: Any) -> None:
    assert good("list", "-cert") == good("listcerts")
    lines = good("list", "-cert", "-key", "-verbose")
    assert lines[0] == "Certificates: 3"
    assert lines[13] == "Private keys: 2"
    assert [line for line in lines if line.startswith("Alias")][:3] == [
        "Alias = own-encryption",
        "Alias = own-signature",
        "Alias = own-authority",
    ]
    exported = json.loads("".join(good("certificates", "export", "--json")))
    assert exported["fingerprint"] == rows("listcerts")[0]["fingerprint"]
    assert good("list", "-keysym")[0] == f"Symmetric keys: {1024 + 1}"
    bad(3, "list", "-alias", "none")
    assert "1,025 keys" in good("refreshks")[0]


def test_keys_are_put_into_groups(good: Any, bad: Any, rows: Any) -> None:
    assert good("createkeygroup")[0].startswith("key groups need no file here")
    good("addkeygroup", "-groupID", "library1")
    bad(4, "addkeygroup", "-groupID", "library1")
    rows = json.loads("".join(good("keys", "list", "--group", "default", "--state", "ready", "--json")))[
        "keys"
    ]
    one, two = (row["alias"] for row in rows[:2])
    good("addkeygroupalias", "-alias", one, "-groupID", "library1")
    good("addaliastogroup", "-aliasID", two, "-sourceGroupID", "default", "-targetGroupID", "library1")
    bad(2, "addaliastogroup", "-aliasID", two, "-sourceGroupID", "default", "-targetGroupID", "library1")
    bad(6, "deletegroup", "-groupID", "library1")
    for alias in (one, two):
        good("delgroupalias", "-groupID", "library1", "-alias", alias)
    bad(6, "delgroupalias", "-groupID", "default", "-alias", one)
    good("deletegroup", "-groupID", "library1")


def test_what_was_written_with_which_key_is_told(good: Any, bad: Any, rows: Any) -> None:
    (row,) = rows("keys", "of", TAPE)
    assert (row["volser"], row["state"]) == (TAPE, "active")
    table = good("cartridges", "of", row["alias"])
    assert [line.split()[0] for line in table] == ["VOLSER", TAPE]
    assert row["drive_serial"] in table[1]
    assert row["drive_wwnn"] in table[1]
    assert good("cartridges", "list")[1].split()[:2] == [TAPE, row["alias"]]
    assert "no cartridge 'E09999L4'" in bad(3, "keys", "of", "E09999L4")


def test_a_refusal_is_in_the_trail_by_its_number_and_explained(stage: Stage, good: Any, rows: Any) -> None:
    serial = "UNKNOWN00001"
    stage.play(stage.certified(serial, os.urandom(8)))
    (code,) = {record["code"] for record in rows("audit", "list", "--drive", serial)}
    assert "Drive not configured." in good("errors", "explain", code)[1]


def test_the_drive_table_goes_to_a_file_and_comes_back(good: Any, bad: Any, tmp_path: Path) -> None:
    url = f"FILE:{tmp_path / 'drives.csv'}"
    good("adddrive", "-drivename", "KEPT", "-symrec", "default")
    before = good("listdrives", "-v")
    good("export", "-drivetab", "-url", url)
    good("deldrive", "-drivename", "KEPT")
    good("adddrive", "-drivename", "EXTRA")
    assert good("import", "-merge", "-drivetab", "-url", url)[0].startswith("drives: 1 added")
    assert "SerialNumber = EXTRA" in good("listdrives")
    assert good("drives", "import", str(tmp_path / "drives.csv"), "--rewrite")[0].endswith("1 removed")
    assert good("listdrives", "-v") == before
    bad(2, "import", "-merge", "-drivetab", "-url", f"FILE:{tmp_path / 'none.csv'}")
    good("deldrive", "-drivename", "KEPT")


def test_properties_are_listed_changed_and_brought_back(
    stage: Stage, good: Any, bad: Any, tmp_path: Path
) -> None:
    url = f"FILE:{tmp_path / 'config'}"
    name = "drive.creationsPerHour"
    assert f"{name} = 120" in good("listconfig")
    good("export", "-config", "-url", url)
    good("modconfig", "-set", "-property", name, "-value", "99")
    good("modconfig", "-set", "dkp.stepTimeout=29")
    assert {f"{name} = 99", "dkp.stepTimeout = 29"} < set(good("listconfig"))
    assert f"{name} = 99" in stage.estate.home.config.read_text().replace("=", " = ")
    assert good("refresh") == ["nothing has changed"]
    good("import", "-rewrite", "-config", "-url", url)
    assert {f"{name} = 120", "dkp.stepTimeout = 30"} < set(good("listconfig"))
    bad(3, "modconfig", "-set", "no.such.property=1")
    bad(2, "modconfig", "-set", f"{name}=many")
    for local in ("backup.command=rm", "drive.optionalEncryption=clear"):
        assert "qekm-server config set" in bad(6, "modconfig", "-set", local)


def test_stopekm_stops_what_runs_and_says_so_in_the_original_s_words(
    stage: Stage, ask: Any, good: Any
) -> None:
    assert good("stopekm") == ["EKMServer: shut down complete."]
    assert stage.estate.server is not None
    assert stage.estate.server.wait() == 0
    code, out, err = ask("status")
    assert (code, out) == (10, "EKM server cannot be reached. It appears to be stopped.\n")
    assert err.startswith("qekm: error: ")
    assert ask("stopekm")[:2] == (10, out)
    assert "drive.creationsPerHour = 120" in good("listconfig"), "the file is read when nobody answers"
