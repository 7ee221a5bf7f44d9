"""The directory of an installation: found, read, never written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.errors import BadArgument, BadFile
from qekm.home import Home
from qekm.takeover.directory import Directory


@pytest.fixture
def old(tmp_path: Path) -> Directory:
    (tmp_path / "old" / "keymanager").mkdir(parents=True)
    (tmp_path / "old" / "EKMKeys.jck").write_bytes(b"keys")
    (tmp_path / "old" / "keymanager" / "table").write_bytes(b"table")
    return Directory(tmp_path / "old", Home(tmp_path / "home"))


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("EKMKeys.jck", "EKMKeys.jck"),
        ("/opt/Quantum/QEKM/EKMKeys.jck", "EKMKeys.jck"),
        ("C:\\Program Files\\Quantum\\QEKM\\EKMKeys.jck", "EKMKeys.jck"),
        ("ekmkeys.JCK", "EKMKeys.jck"),
        ("FILE:///opt/Quantum/QEKM/keymanager/table", "keymanager/table"),
        ("./keymanager//table", "keymanager/table"),
        ("/elsewhere/table", None),
        ("../old/EKMKeys.jck", None),
        ("keymanager", None),
        ("", None),
        ("EKM\x00Keys.jck", None),
    ],
)
def test_a_path_of_the_old_machine_is_found_by_its_end(old: Directory, named: str, found: str | None) -> None:
    assert old.find(named) == (old.path / found if found else None)


def test_two_names_that_differ_in_case_only_are_not_guessed_between(old: Directory) -> None:
    (old.path / "ekmkeys.jck").write_bytes(b"other")
    assert old.find("EKMKEYS.JCK") is None
    assert old.find("EKMKeys.jck") == old.path / "EKMKeys.jck"


def test_what_was_not_read_is_named(old: Directory) -> None:
    (old.path / "jre").mkdir()
    assert old.read(old.path / "EKMKeys.jck", 4) == b"keys"
    assert old.peek(old.path / "keymanager" / "table", 2) == b"ta"
    assert old.unread() == ["jre/", "keymanager/"]


def test_what_cannot_be_read_is_named(old: Directory) -> None:
    pipe, empty = old.path / "pipe", old.path / "empty"
    os.mkfifo(pipe)
    empty.touch()
    for path, said in (
        (pipe, "is not a regular file"),
        (empty, "is empty"),
        (old.path / "EKMKeys.jck", "has over 3 bytes"),
        (old.path / "keymanager", "cannot be read|is not a regular"),
        (old.path / "none", "cannot be read: No such file"),
    ):
        with pytest.raises(BadFile, match=f"{path.name} .*({said})"):
            old.read(path, 3)


@pytest.mark.parametrize("part", ["root.key", "pki", "store"])
def test_a_key_manager_of_this_program_is_none_of_the_original(tmp_path: Path, part: str) -> None:
    home = Home(tmp_path / "ours")
    (home.store_directory if part == "store" else home.path).mkdir(parents=True)
    (home.store if part == "store" else home.path / part).touch()
    with pytest.raises(BadArgument, match="a key manager of this program"):
        Directory(home.path, Home(tmp_path / "home"))


def test_the_new_home_is_never_in_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "old")
    for home in (tmp_path / "old", tmp_path / "old" / "new", tmp_path / "link" / "a" / "b"):
        with pytest.raises(BadArgument, match="would be in the old one"):
            Directory(tmp_path / "old", Home(home))
    Directory(tmp_path / "old", Home(tmp_path / "older"))


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(BadArgument, match=f"there is no directory .*{name}"):
            Directory(tmp_path / name, Home(tmp_path / "home"))
