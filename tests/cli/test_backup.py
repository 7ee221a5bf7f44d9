"""`qekm backup` against a service in memory, and what it starts for a restore."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import ApprovalNeeded, BackupFailed, BadPassword, NoBackupTarget
from qekm.home import Home
from qekm.v1.slots_pb2 import Proof

from .conftest import Qekm
from .fake_service import FakeService
from .installation import Installation

NAME = "qekm-00010203-e1-{}.qbk"


def test_create_tells_what_was_made(qekm: Qekm) -> None:
    told = qekm("backup", "create")
    assert (told.code, told.err) == (0, "")
    assert told.out == f"{NAME.format(4)} is made and proved: 1,024 keys, on another disk\n"
    assert qekm("backup", "create", "--json").document["state"] == "verified"


@pytest.mark.parametrize(("error", "code"), [(BackupFailed("no space"), 11), (NoBackupTarget("none"), 6)])
def test_create_says_why_there_is_none(qekm: Qekm, service: FakeService, error: Any, code: int) -> None:
    service.backups.refused = error
    told = qekm("backup", "create")
    assert (told.code, told.out) == (code, "")
    assert f"qekm: error: {error.message}" in told.err


def test_list_is_a_table_of_all_pages_that_fits_eighty_columns(qekm: Qekm) -> None:
    told = qekm("backup", "list")
    assert told.lines[0].split() == ["NAME", "STATE", "MADE", "KEYS", "ON"]
    assert [line.split()[:2] for line in told.lines[1:]] == [
        [NAME.format(3), "verified"],
        [NAME.format(2), "failed"],
        [NAME.format(1), "verified"],
    ]
    assert max(map(len, told.lines)) <= 80 + len("the store's disk")
    rows = qekm("backup", "list", "--json").document["backups"]
    assert rows[1]["message"] == "no space"
    assert rows[0]["drill_time"] is None


def test_verify_shows_the_backup_that_it_proved(qekm: Qekm) -> None:
    told = qekm("backup", "verify", NAME.format(1))
    assert told.code == 0
    assert told.lines[0].split() == ["Name", NAME.format(1)]
    assert qekm("backup", "verify").lines[0].split() == ["Name", NAME.format(3)]
    assert qekm("backup", "verify", "none").code == 3


def test_drill_opens_with_what_an_option_names(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "password").write_text("correct horse\n")
    told = qekm("backup", "drill", "--key-file", str(tmp_path / "key"))
    assert told.out == f"{NAME.format(3)} was opened and proved: 1,024 keys\n"
    qekm("backup", "drill", NAME.format(1), "--password-file", str(tmp_path / "password"))
    assert service.backups.proofs == [Proof(key_file=bytes(range(32))), Proof(password=b"correct horse")]
    service.backups.refused = BadPassword("the password does not open this store")
    assert qekm("backup", "drill", "--password-file", str(tmp_path / "password")).code == 2
    assert "no terminal to ask on" in qekm("backup", "drill").err


def test_schedule_shows_and_changes_one_thing_at_a_time(qekm: Qekm, service: FakeService) -> None:
    assert [line.split()[-1] for line in qekm("backup", "schedule").lines] == [
        "24",
        "14",
        "2027-01-16T08:00:00Z",
    ]
    assert qekm("backup", "schedule", "--keep", "3", "--json").document["keep"] == 3
    assert (service.backups.schedule.every_hours, service.backups.schedule.keep) == (24, 3)
    told = qekm("backup", "schedule", "--every", "0")
    assert "only when there are new keys" in told.out
    assert (service.backups.schedule.every_hours, service.backups.schedule.keep) == (0, 3)
    for words in (("--keep", "0"), ("--every", "8761"), ("--keep", "x")):
        assert qekm("backup", "schedule", *words).code == 2


# Restoring: this program becomes qekm-server.

_TELLS = """
words = sys.argv[1:]
told = {"words": words}
if "--proof-fd" in words:
    with os.fdopen(int(words[words.index("--proof-fd") + 1]), "rb") as pipe:
        told["proof"] = pipe.read().hex()
print(json.dumps(told))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path / "bin", qekm_server=_TELLS)


def test_a_restore_onto_an_empty_home_hands_the_proof_over_through_a_pipe(
    programs: Installation, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    done = programs.run(
        "backup",
        "restore",
        "some.qbk",
        "--host",
        "keys.example",
        "--property",
        "grpc.port=0",
        "--password-file",
        str(tmp_path / "password"),
        environment={"QEKM_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["words"][:4] == ["restore", str(tmp_path / "some.qbk"), "--home", str(tmp_path / "home")]
    assert told["words"][4:8] == ["--host", "keys.example", "--property", "grpc.port=0"]
    assert "--replace" not in told["words"]
    assert "correct" not in " ".join(told["words"])
    assert Proof.FromString(bytes.fromhex(told["proof"])) == Proof(password=b"correct horse")


def test_a_restore_without_anything_to_open_it_asks_and_says_so_without_a_terminal(
    programs: Installation, tmp_path: Path
) -> None:
    done = programs.run(
        "backup",
        "restore",
        "some.qbk",
        environment={"QEKM_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "no terminal to ask on" in done.stderr


@pytest.mark.parametrize(("slot", "asked"), [("key-file", False), ("password", True)])
def test_a_restore_where_a_key_manager_is_takes_its_place(
    programs: Installation, tmp_path: Path, slot: str, asked: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "KeyManagerConfig.properties").write_text(f"keystore.slot={slot}\n")
    (tmp_path / "password").write_text("correct horse\n")
    words = ["--password-file", str(tmp_path / "password")] if asked else []
    done = programs.run(
        "backup", "restore", "some.qbk", "--lose", "3", *words, environment={"QEKM_HOME": str(home)}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "--replace" in told["words"]
    assert told["words"][told["words"].index("--lose") + 1] == "3"
    assert ("proof" in told) is asked


def test_a_running_service_is_asked_first_and_not_stopped_without_an_approval(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.config.write_text("grpc.port=0\n")
    file = tmp_path / "some.qbk"
    file.write_bytes(b"a backup")
    service.backups.refused = ApprovalNeeded("a second person must approve this", approval="0badcafe")
    with home.announced("server", "test", {"grpc": 1}):
        told = qekm("backup", "restore", str(file), "--home", str(home.path))
        assert told.code == 6
        assert "a second person must approve this" in told.err
        assert not service.server.stopped


def test_a_restore_is_done_on_the_machine_itself(qekm: Qekm) -> None:
    told = qekm("backup", "restore", "some.qbk", "--target", "keys.example:3802")
    assert told.code == 2
    assert "without --target" in told.err
