"""`qekm-simulator` as a person types it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm.dkp.codes import Code
from qekm_gateway.simulator.app import main
from tests.fakes.key_manager import KeyManager

FIRST, SECOND = "001300000392", "001310000363"
DATA = b"0123456789" * 100_000


class Desk:
    """A library folder, a key manager that listens, and the command line."""

    def __init__(self, folder: Path, manager: KeyManager, port: int, capture: Any) -> None:
        self.folder, self.manager, self.port, self._capture = folder, manager, port, capture

    def run(self, command: str, *arguments: str, drive: str = FIRST) -> tuple[int, str, str]:
        """Run a command that talks to the key manager; return exit code, output, errors."""
        common = ["--library", str(self.folder / "library"), "--drive", drive]
        server = ["--server", f"127.0.0.1:{self.port}", "--anchor", self.manager.pin.hex()]
        code = main([command, *common, *server, *arguments])
        captured = self._capture.readouterr()
        return code, captured.out, captured.err

    def file(self, name: str) -> str:
        """Name a file of this test."""
        return str(self.folder / name)


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """Make a library of two drives and a source to back up."""
    manager = KeyManager()
    assert main(["init", str(tmp_path / "library")]) == 0
    capfd.readouterr()
    (tmp_path / "source").write_bytes(DATA)
    with manager.listening() as port:
        yield Desk(tmp_path, manager, port, capfd)


def test_init_makes_the_guides_two_drives_and_refuses_to_do_it_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "library")]) == 0
    assert json.loads(capfd.readouterr().out)["drives"] == [FIRST, SECOND]
    assert main(["init", str(tmp_path / "library")]) == 2
    assert "error" in capfd.readouterr().err


def test_one_drive_writes_and_the_other_reads(desk: Desk) -> None:
    code, out, _ = desk.run(
        "write", "--cartridge", desk.file("tape"), "--volser", "E01001L4", desk.file("source")
    )
    assert code == 0
    written = json.loads(out)
    assert written["confirmed"]
    assert written["alias"] in desk.manager.keys
    assert written["sha256"] == hashlib.sha256(DATA).hexdigest()
    code, out, _ = desk.run("read", "--cartridge", desk.file("tape"), "-o", desk.file("back"), drive=SECOND)
    assert code == 0
    assert json.loads(out)["sha256"] == written["sha256"]
    assert Path(desk.file("back")).read_bytes() == DATA


def test_a_stream_goes_in_and_out_through_pipes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(desk.file("source")).open() as source:
        monkeypatch.setattr(sys, "stdin", source)
        assert desk.run("write", "--cartridge", desk.file("tape"), "--volser", "E01001L4")[0] == 0
    code, out, err = desk.run("read", "--cartridge", desk.file("tape"), drive=SECOND)
    assert code == 0
    assert out.encode() == DATA
    assert json.loads(err)["bytes"] == len(DATA)


def test_a_new_key_does_not_read_the_cartridge(desk: Desk) -> None:
    desk.run("write", "--cartridge", desk.file("tape"), "--volser", "E01001L4", desk.file("source"))
    code, out, err = desk.run("read", "--cartridge", desk.file("tape"), "--ask", "create")
    assert (code, out) == (3, "")
    assert "07/74/03" in err


def test_a_refusal_shows_number_and_sense(desk: Desk) -> None:
    desk.manager.refuse = Code.EF01
    code, out, err = desk.run("request")
    assert (code, out) == (3, "")
    assert "EF01" in err
    assert "07/74/64" in err


def test_a_request_prints_one_line_of_json_and_fills_the_oracle(desk: Desk) -> None:
    mount = "000102030405060708090a0b0c0d0e0f"
    for _ in range(2):
        code, out, _ = desk.run(
            "request", "--volser", "E01001L4", "--mount", mount, "--oracle", desk.file("oracle")
        )
        assert code == 0
    told = json.loads(out)
    digest = hashlib.sha256(desk.manager.keys[told["alias"]]).hexdigest()
    assert Path(desk.file("oracle")).read_text() == f"{told['alias']},{digest},{mount},E01001L4\n" * 2


def test_no_command_prints_a_key(desk: Desk) -> None:
    said = "".join(desk.run("request")[1:])
    for material in desk.manager.keys.values():
        assert material.hex() not in said.lower()


def test_a_drive_can_be_added_and_used(desk: Desk) -> None:
    assert main(["add-drive", "--library", desk.file("library"), "001319999999", "--rsa"]) == 0
    assert desk.run("request", drive="001319999999")[0] == 0


def test_a_diagnosis_tells_test_by_test_and_by_its_exit_code(desk: Desk) -> None:
    code, out, _ = desk.run("diagnose")
    assert code == 0
    assert [json.loads(line)["test"] for line in out.splitlines()][-4:] == ["Ping", "Drive", "Path", "Config"]
    desk.manager.refuse = Code.EF01
    code, out, _ = desk.run("diagnose")
    assert code == 4
    assert [json.loads(line)["status"] for line in out.splitlines()] == [
        "passed",
        "passed",
        "failed",
        "skipped",
    ]


@pytest.mark.parametrize(
    ("arguments", "drive", "text"),
    [
        (["request"], "X1", "no drive X1"),
        (["request", "--anchor", "abc"], FIRST, "64 hex digits"),
        (["request", "--anchor-ca", "/nowhere"], FIRST, "/nowhere"),
        (["request", "--server", "nowhere"], FIRST, "HOST:PORT"),
        (["read", "--cartridge", "/nowhere"], FIRST, "/nowhere"),
        (["write", "--cartridge", "/nowhere/tape"], FIRST, "--volser"),
    ],
)
def test_a_wrong_argument_is_named(desk: Desk, arguments: list[str], drive: str, text: str) -> None:
    code, out, err = desk.run(*arguments, drive=drive)
    assert (code, out) == (2, "")
    assert text in err
    assert "Traceback" not in err
