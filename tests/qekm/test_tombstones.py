"""The files that remember destroyed keys: believed line by line, and only what this key manager wrote."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp.names import alias_to_dki, generated_alias
from qekm.errors import StoreFailed
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.tombstones import bury, line_of, parse_line, read_tombstones

ESTATE, OTHER = bytes(16), bytes([1] * 16)
SEALS = KeyRing(Secret(bytes(32)), ESTATE).seals
FOREIGN = KeyRing(Secret(bytes([1] * 32)), ESTATE).seals


def stone(number: int) -> Key:
    """Return a destroyed key."""
    alias = generated_alias("0A1B2C3D4E", number)
    return Key(
        os.urandom(16), alias, alias_to_dki(alias), number, 1, 1, b"", b"", "g", KeyState.DESTROYED,
        destroy_time_us=5 + number,
    )  # fmt: skip


def read(path: Path) -> tuple[set[bytes], list[str]]:
    """Return what a file says, and what of it is not believed."""
    told: list[str] = []
    return read_tombstones(path, SEALS, ESTATE, told.append), told


def test_what_is_written_is_read_back_and_written_once(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    keys = [stone(number) for number in range(3)]
    assert read(path) == (set(), [])
    assert bury(path, keys[:2], SEALS, ESTATE) == 2
    assert bury(path, keys, SEALS, ESTATE) == 1
    assert bury(path, keys, SEALS, ESTATE) == 0
    assert read(path) == ({key.key_id for key in keys}, [])
    assert len(path.read_bytes().splitlines()) == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_material_is_in_a_line() -> None:
    key = stone(1)
    assert (
        line_of(key, SEALS, ESTATE)
        .decode()
        .startswith(f'{{"key_id": "{key.key_id.hex()}", "alias": "{key.alias}", "time_us": 6, "mac": "')
    )


def test_lines_of_another_root_key_or_estate_are_told_and_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    path.write_bytes(line_of(stone(1), FOREIGN, ESTATE) + line_of(stone(2), SEALS, OTHER))
    good = stone(3)
    bury(path, [good], SEALS, ESTATE)
    found, told = read(path)
    assert found == {good.key_id}
    assert [line.partition(",")[2][:8] for line in told] == [" line 1:", " line 2:"]


def test_every_flipped_bit_of_a_line_is_found() -> None:
    line = line_of(stone(1), SEALS, ESTATE)
    good = parse_line(line, SEALS, ESTATE)
    for place in range(len(line) - 1):
        for bit in range(8):
            altered = line[:place] + bytes([line[place] ^ 1 << bit]) + line[place + 1 :]
            # Hex has two spellings of a letter, JSON many of a blank: what it says is the same then.
            assert parse_line(altered, SEALS, ESTATE) in (None, good)
    assert good is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[1]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"key_id": 1, "alias": "A", "time_us": 5, "mac": ""}',
        b'{"key_id": "00", "alias": "A", "time_us": true, "mac": ""}',
        b'{"key_id": "zz", "alias": "A", "time_us": 5, "mac": ""}',
        b'{"key_id": "00", "alias": "\\ud800", "time_us": 5, "mac": ""}',
        b'{"key_id": "00", "alias": "A", "time_us": 1' + b"0" * 400 + b', "mac": ""}',
    ],
)
def test_a_line_that_is_none_is_no_error(line: bytes) -> None:
    assert parse_line(line, SEALS, ESTATE) is None


@given(st.binary(max_size=2_000))
def test_whatever_the_bytes_a_file_is_read_and_a_line_can_follow(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tombstones"
        path.write_bytes(content)
        key = stone(1)
        assert bury(path, [key], SEALS, ESTATE) == 1
        assert read(path)[0] == {key.key_id}


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    first, second = stone(1), stone(2)
    whole = line_of(first, SEALS, ESTATE)
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        bury(path, [first, second], SEALS, ESTATE)
        assert read(path)[0] == {first.key_id, second.key_id}


def test_a_line_without_an_end_is_not_taken_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    key = stone(1)
    bury(path, [key], SEALS, ESTATE)
    found, told = read(path)
    assert (found, len(told)) == ({key.key_id}, 1)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tombstones").mkdir()
    with pytest.raises(StoreFailed, match="cannot be read"):
        read(tmp_path / "tombstones")


def test_a_link_is_not_followed_when_writing(tmp_path: Path) -> None:
    (tmp_path / "tombstones").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        bury(tmp_path / "tombstones", [stone(1)], SEALS, ESTATE)
