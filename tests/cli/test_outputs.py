"""Files of keys: whole or not at all, for their owner's eyes, and never over another by accident."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import typer

from qekm_cli.outputs import new_file


def test_a_file_is_put_in_place_when_all_of_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "keys.cms"
    with new_file(path, force=False) as write:
        write(b"one ")
        write(b"two")
        assert not path.exists()
    assert path.read_bytes() == b"one two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing_and_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "keys.cms"
    for before in (None, b"old"):
        if before:
            path.write_bytes(before)
        with pytest.raises(RuntimeError), new_file(path, force=True) as write:
            write(b"half")
            raise RuntimeError
        assert [each.read_bytes() for each in tmp_path.iterdir()] == ([before] if before else [])


def test_a_file_that_is_there_is_kept_unless_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "keys.cms"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with pytest.raises(typer.BadParameter, match="--force"), new_file(path, force=False):
        raise AssertionError("nothing is asked of anybody")
    with new_file(path, force=True) as write:
        write(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.cms"
    with pytest.raises(FileExistsError), new_file(path, force=False) as write:
        write(b"ours")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_nothing_can_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "none" / "keys.cms", force=False):
        raise AssertionError("nothing is asked of anybody")
