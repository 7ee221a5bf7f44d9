"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.durable import create, put, replace, sync_directory
from tests.ordinary import NOBODY, unsynced


def test_a_new_file_is_private_from_its_first_byte_and_never_replaces_another(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create(tmp_path / "a.key", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create(tmp_path / "a.key", b"2")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        create(tmp_path / "link", b"2")
    assert not (tmp_path / "elsewhere").exists()


def test_replacing_leaves_one_whole_file(tmp_path: Path) -> None:
    replace(tmp_path / "trust.pem", b"one")
    replace(tmp_path / "trust.pem", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("trust.pem", b"two")]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_replacing_as_root_keeps_the_owner(tmp_path: Path) -> None:
    (tmp_path / "trust.pem").write_bytes(b"one")
    os.chown(tmp_path / "trust.pem", 12345, 12346)
    replace(tmp_path / "trust.pem", b"two")
    owner = (tmp_path / "trust.pem").stat()
    assert (owner.st_uid, owner.st_gid, (tmp_path / "trust.pem").read_bytes()) == (12345, 12346, b"two")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's file")
def test_a_file_is_whose_it_is_said_to_be(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    put(tmp_path / "x", b"one", tmp_path.stat())
    assert (tmp_path / "x").stat().st_uid == NOBODY
    put(tmp_path / "x", b"two")
    assert (tmp_path / "x").stat().st_uid == 0


def test_a_link_is_replaced_and_what_it_leads_to_is_kept(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "link").symlink_to("there")
    replace(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert ((tmp_path / "there").read_bytes(), (tmp_path / "link").read_bytes()) == (b"old", b"new")


def test_what_cannot_be_written_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        replace(tmp_path / "folder", b"new")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "none" / "x", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_name_that_cannot_be_made_durable_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")
    with unsynced(tmp_path), pytest.raises(PermissionError):
        replace(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
