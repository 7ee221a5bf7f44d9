"""New recovery shares: shown once, or a private file each."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
import typer

from qekm_cli.proofs import read_shares
from qekm_cli.shares import SPLIT, Split, check_place, hand_out, parse_split

from .terminal import typed

SHARES = [
    " ".join([f"share{number}", *(f"word{place:02}" for place in range(1, 33))]) for number in (1, 2, 3)
]


def test_a_split_is_two_numbers() -> None:
    assert parse_split("2/3") == Split(2, 3)
    assert parse_split(SPLIT) == SPLIT == Split(3, 5)
    assert parse_split("16/16") == Split(16, 16)


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/5", "5/3", "1/5", "3/17", "3/5/7", "a/b", "-3/5", "٣/٥", "003/5"]
)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="for example 3/5"):
        parse_split(text)


def test_each_share_gets_a_private_file_that_can_be_read_back(tmp_path: Path) -> None:
    place = tmp_path / "shares"
    check_place(place, 3, shown=False)
    files = [Path(name) for name in hand_out(SHARES, 2, place)]
    assert [file.name for file in files] == ["share-1.txt", "share-2.txt", "share-3.txt"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert "share 1 of 3; 2 of them open" in files[0].read_text()
    assert read_shares(files) == SHARES


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "share-3.txt").write_text("precious")
    with pytest.raises(typer.BadParameter, match=r"share-3\.txt exists"):
        check_place(tmp_path, 3, shown=True)
    check_place(tmp_path, 2, shown=True)
    with pytest.raises(FileExistsError):
        hand_out(SHARES, 2, tmp_path)
    assert (tmp_path / "share-3.txt").read_text() == "precious"


def test_without_a_terminal_and_in_documents_shares_are_not_shown() -> None:
    assert not sys.stdout.isatty()
    with pytest.raises(typer.BadParameter, match="--shares-dir"):
        check_place(None, 3, shown=True)


def test_on_a_terminal_they_are_shown_word_by_word() -> None:
    code = (
        "from qekm_cli.shares import check_place, hand_out; check_place(None, 3, shown=True); "
        f"print(hand_out({SHARES!r}, 2, None))"
    )
    ended, screen = typed([sys.executable, "-c", code], [])
    assert ended == 0, screen
    assert "3 recovery shares, of which any 2 open the keystore" in screen
    assert screen.rstrip().endswith("[]")
    words = [word for word in screen.split() if not word.isdecimal()]
    for share in SHARES:
        start = words.index(share.split()[0])
        assert words[start : start + 33] == share.split()
    assert max(map(len, screen.splitlines())) <= 80
    ended, screen = typed([sys.executable, "-c", code.replace("shown=True", "shown=False")], [])
    assert ended == 1
    assert "share1 word" not in screen
