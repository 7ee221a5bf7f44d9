"""`qekm init --from DIR`: the passwords of an original's keystore, asked for and tried before anything else.

Nothing of the installation is read here: the service's program does that, and gets passwords through pipes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption

from qekm.errors import BadPassword
from qekm_cli.commands import kept, whole_number
from qekm_cli.passwords import handed_over, read_password
from qekm_cli.processes import program

SHORTEST = 6  # characters: the original took none shorter, and Java takes none
KEYSTORE_OPTIONS = ("--keystore-password-file", "--keystore-password-fd")
KEY_OPTIONS = ("--key-password-file", "--key-password-fd")


def options() -> list[TyperOption]:
    """Return new instances of the options that name an installation of the original."""
    number = whole_number(0, 2**20)
    directory = "Take an installation of the original over: its directory, or a copy."
    drives = "Its drives: listDrivesQEKMServer's output, or CSV; listdrives.txt or drives.csv in DIR."
    old = "Password of the old keystore"
    keys = "Password of the keys in it, if another"
    return [
        kept("--from", directory, type=str, metavar="DIR"),
        kept("--drives", drives, type=str, metavar="FILE"),
        kept(KEYSTORE_OPTIONS[0], f"{old}, in this file.", type=str, metavar="FILE"),
        kept(KEYSTORE_OPTIONS[1], f"{old}, from this descriptor.", type=number, metavar="N"),
        kept(KEY_OPTIONS[0], f"{keys}, in this file.", type=str, metavar="FILE"),
        kept(KEY_OPTIONS[1], f"{keys}, from this descriptor.", type=number, metavar="N"),
    ]


def missing(given: Mapping[str, Any]) -> list[str]:
    """Return the options that must be there if nobody can be asked."""
    named = {"keystore_password_file", "keystore_password_fd"} & set(given)
    return [" or ".join(KEYSTORE_OPTIONS)] if "from" in given and not named else []


@dataclass(frozen=True, slots=True)
class Inheritance:
    """An installation of the original, and what opens its keystore."""

    words: tuple[str, ...]  # options of qekm-server that name it
    password: str = field(repr=False)
    key_password: str | None = field(default=None, repr=False)  # None: the keystore's

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Yield the options of qekm-server that name a descriptor for a password, and the password."""
        yield KEYSTORE_OPTIONS[1], self.password
        if self.key_password is not None:
            yield KEY_OPTIONS[1], self.key_password


def inherit(given: Mapping[str, Any], home: str, properties: Sequence[str]) -> Inheritance | None:
    """Return the installation that options name, None if they name none; its passwords open it.

    Raises BadParameter, BadPassword, and typer.Exit with the code of qekm-server, which told what is wrong.
    """
    if "from" not in given:
        return None
    words = ["--from", str(Path(given["from"]).absolute())]
    if "drives" in given:
        words += ["--drives", str(Path(given["drives"]).absolute())]
    password = _read(given, "keystore", "Password of the old keystore", KEYSTORE_OPTIONS)
    found = Inheritance(tuple(words), password)
    if {"key_password_file", "key_password_fd"} & set(given) or not _opens(found, home, properties):
        found = Inheritance(tuple(words), password, _key_password(given))
        _check(_opens(found, home, properties))
    return found


def _key_password(given: Mapping[str, Any]) -> str:
    """Return the password of the keys, asked for if no option names it; BadPassword."""
    named = {"key_password_file", "key_password_fd"} & set(given)
    if not named and not (sys.stdin and sys.stdin.isatty()):
        what = "the keys in the old keystore have another password than the keystore"
        raise BadPassword(what, hint=f"use {' or '.join(KEY_OPTIONS)}")
    return _read(given, "key", "Password of the keys in it, which have another", KEY_OPTIONS)


def _check(opens: bool) -> None:
    if not opens:
        raise BadPassword("that password does not open the keys in the old keystore either")


def _opens(found: Inheritance, home: str, properties: Sequence[str]) -> bool:
    """Have qekm-server read the installation; tell whether the passwords open its keys as well."""
    settings = [word for text in properties for word in ("--property", text)]
    call = [program("qekm-server"), "survey", "--home", home, *found.words, *settings]
    words, handed = handed_over(call, found.secrets())
    done = subprocess.run(words, stdout=subprocess.PIPE, pass_fds=handed, check=False)  # noqa: S603
    for descriptor in handed:
        os.close(descriptor)
    if done.returncode:
        raise typer.Exit(done.returncode)
    return bool(json.loads(done.stdout)["opened"])


def _read(given: Mapping[str, Any], whose: str, title: str, names: tuple[str, str]) -> str:
    """Return a password from its source; BadPassword."""
    file = given.get(f"{whose}_password_file")
    descriptor = given.get(f"{whose}_password_fd")
    path = Path(file) if file else None
    return read_password(path, descriptor, confirm=False, title=title, options=names, shortest=SHORTEST)
