"""A bundle of a home in which somebody, or a mistake, has put what a program does not expect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.configuration.settings import Settings, read_file
from qekm.doctor import openers
from qekm.errors import BadConfiguration, ServiceAway
from qekm.home import Home
from qekm_cli.doctor import tails
from qekm_cli.doctor.bundle import Wanted, files_of, gather, time_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def packed(home: Home) -> dict[str, bytes]:
    def nobody() -> None:
        raise ServiceAway("nobody is there")

    return gather(home, Wanted(), {}, nobody)  # type: ignore[arg-type]


def test_a_name_that_is_no_text_is_in_the_list_with_its_bytes_as_escapes(home: Home) -> None:
    (home.path / os.fsdecode(b"bad\xff")).touch()
    assert b"bad\\udcff\n" in packed(home)["files.txt"]


@pytest.mark.parametrize("when", [-(10**11), 10**12, 10**18])
def test_a_time_that_no_calendar_has_is_a_number(when: int) -> None:
    assert time_of(0) == "1970-01-01T00:00:00Z"  # few file systems can keep the others: it is asked itself
    assert time_of(when) == str(when)


def test_a_name_cannot_forge_a_line(home: Home) -> None:
    (home.path / "a\n-rw------- root forged").touch()
    assert [line for line in files_of(home) if "forged" in line] == [
        line for line in files_of(home) if "a\\n-rw" in line
    ]
    assert not any("\n" in line for line in files_of(home))


def test_a_pipe_in_the_place_of_the_settings_is_not_waited_for(home: Home) -> None:
    os.mkfifo(home.config)
    with pytest.raises(BadConfiguration, match="no regular file"):
        read_file(home.config)
    assert packed(home)


def test_a_secret_in_the_place_of_its_files_name_is_not_in_what_the_doctor_says(home: Home) -> None:
    def seen(key_file: str) -> str:
        return str([*openers.look(home, Settings({"keystore.keyFile": key_file}, {}))])

    assert "00112233445566778899" not in seen("00112233445566778899aabbccddeeff")
    assert "aaaa" not in seen("a" * 300)
    assert "keys/root.key" in seen("keys/root.key")
    assert "root.key" in seen("root.key")


@pytest.mark.parametrize("secret", ["root.key", "token.pin", "pki/server.key", "store/qekm.db", "pin.log"])
def test_a_secret_that_is_said_to_be_a_log_is_none(home: Home, secret: str) -> None:
    path = home.path / secret
    path.parent.mkdir(exist_ok=True)
    path.write_text("123456\n")
    (home.path / "hard.log").hardlink_to(path)
    for name in (secret, "hard.log"):
        home.config.write_text(f"debug.output.file={name}\nkeystore.pkcs11.pinFile=token.pin\n")
        found = [text for _, text in tails.logs_of(home, 10)]
        assert found == (
            [] if secret != "pin.log" else ["123456\n"]
        )  # the last is a log: it is one that is read


@pytest.mark.parametrize("content", [b"\x93\xff\xfe\x01", b"abc\0def"])
def test_what_is_no_text_is_no_log(content: bytes) -> None:
    assert tails.last_lines(content, 10) == tails.NO_TEXT
    assert tails.last_lines("ä\nö\n".encode(), 1) == "ö\n"
