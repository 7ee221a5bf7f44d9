"""New recovery shares on their way to people: shown once on the terminal, or a private file for each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from qekm_cli.proofs import MOST_SHARES

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--shares-dir",
        help="Write the recovery shares here, a file each, instead of showing them once.",
        metavar="DIR",
    ),
]


@dataclass(frozen=True, slots=True)
class Split:
    """How many shares open, and how many there are."""

    needed: int
    count: int

    def __str__(self) -> str:
        return f"{self.needed}/{self.count}"


SPLIT = Split(3, 5)


def parse_split(text: Any) -> Split:
    """Return what M/N says; raises BadParameter."""
    needed, slash, count = str(text).partition("/")
    if slash and all(part.isascii() and part.isdecimal() and len(part) < 3 for part in (needed, count)):
        split = Split(int(needed), int(count))
        if 2 <= split.needed <= split.count <= MOST_SHARES:
            return split
    raise typer.BadParameter(f"{text!r:.20} is not M/N, with 2 <= M <= N <= {MOST_SHARES}, for example 3/5")


def check_place(directory: Path | None, count: int, *, shown: bool) -> None:
    """Raise BadParameter before anything is made, if the shares cannot be handed out; makes the directory.

    shown: whether they may be shown on the terminal, if there is one.
    """
    if directory is None:
        if not shown or not sys.stdout.isatty():
            raise typer.BadParameter("there is no terminal to show recovery shares on: name --shares-dir")
        return
    directory.mkdir(mode=0o700, exist_ok=True)
    for number in range(1, count + 1):
        if (path := _place(directory, number)).exists():
            raise typer.BadParameter(f"{path} exists and is not overwritten; name another --shares-dir")


def hand_out(mnemonics: list[str], needed: int, directory: Path | None) -> list[str]:
    """Show shares on the terminal, or write each into a file (0600) and return the files' names."""
    from qekm.durable import create

    if directory is None:
        print(_told(len(mnemonics), needed), *_lines(mnemonics), sep="\n")
        return []
    files = []
    for number, mnemonic in enumerate(mnemonics, 1):
        path = _place(directory, number)
        head = f"# Q-EKM recovery share {number} of {len(mnemonics)}; {needed} of them open the keystore\n"
        create(path, f"{head}{mnemonic}\n".encode())
        files.append(str(path))
    return files


def _place(directory: Path, number: int) -> Path:
    return directory / f"share-{number}.txt"


def _told(count: int, needed: int) -> str:
    return (
        f"{count} recovery shares, of which any {needed} open the keystore.\n"
        "Give each to another person, on paper. They are shown now and never again.\n"
    )


def _lines(mnemonics: list[str]) -> list[str]:
    """Return the shares for people to copy: six words a line, with the number of the first."""
    lines = []
    for number, mnemonic in enumerate(mnemonics, 1):
        words = mnemonic.split()
        lines.append(f"share {number}")
        for start in range(0, len(words), 6):
            lines.append(f"  {start + 1:2}  " + " ".join(words[start : start + 6]))
        lines.append("")
    return lines
