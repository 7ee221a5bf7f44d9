"""A bundle of a home in which somebody, or a mistake, has put what a program does not expect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.configuration.settings import read_file
from qekm.errors import BadConfiguration, ServiceAway
from qekm.home import Home
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
