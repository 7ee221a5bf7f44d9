"""Passwords, from a file, an open descriptor or a prompt; never from arguments or the environment.

A password is handed to a program of ours through a pipe, so that it is in no argument list and no file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from qekm.errors import BadPassword, PasswordNeeded
from qekm_cli.commands import whole_number
from qekm_cli.connection import Invocation

SHORTEST, LONGEST = 8, 1024  # characters
OPTIONS = ("--password-file", "--password-fd")
NEW_OPTIONS = ("--new-password-file", "--new-password-fd")
COMMAND_OPTIONS = ("--command-password-file", "--command-password-fd")
MOST_BYTES = 4 * LONGEST + 2  # UTF-8 and a line end; less than any pipe holds

FileOption = Annotated[
    Path | None, typer.Option("--password-file", help="Read the password from this file.", metavar="FILE")
]
DescriptorOption = Annotated[
    int | None,
    typer.Option(
        "--password-fd",
        help="Read the password from this open descriptor.",
        metavar="N",
        parser=whole_number(0, 2**20),
    ),
]


NewFileOption = Annotated[
    Path | None,
    typer.Option("--new-password-file", help="Read the new password from this file.", metavar="FILE"),
]
NewDescriptorOption = Annotated[
    int | None,
    typer.Option(
        "--new-password-fd",
        help="Read the new password from this open descriptor.",
        metavar="N",
        parser=whole_number(0, 2**20),
    ),
]


def read_new_password(file: Path | None, descriptor: int | None) -> str:
    """Return a new password for the keystore, asked for twice if no source was named; raises BadPassword."""
    title = "New keystore password"
    return read_password(file, descriptor, confirm=True, title=title, options=NEW_OPTIONS)


def command_password(told: Invocation, identity: str) -> str:
    """Return the command password, from its options or asked for; it is read once in a run.

    Raises BadPassword, and PasswordNeeded where it was not given and nobody can be asked.
    """
    from qekm.hardening import harden

    if told.command_password is None:
        harden()
        given = told.command_password_file is not None or told.command_password_fd is not None
        if not given and not (sys.stdin and sys.stdin.isatty()):
            hint = f"give {' or '.join(COMMAND_OPTIONS)}, or log in first with: qekm login"
            raise PasswordNeeded(
                f"{identity} has a command password, and there is no terminal to ask on", hint=hint
            )
        file = Path(told.command_password_file) if told.command_password_file is not None else None
        told.command_password = read_password(
            file,
            told.command_password_fd,
            confirm=False,
            title=f"Command password of {identity}",
            options=COMMAND_OPTIONS,
        )
    return told.command_password


def read_password(
    file: Path | None,
    descriptor: int | None,
    *,
    confirm: bool,
    title: str = "Keystore password",
    options: tuple[str, str] = OPTIONS,
    shortest: int = SHORTEST,
) -> str:
    """Return the password from the source that was named, else ask for it; raises BadPassword.

    title: what is asked for on a terminal; options: those that name file and descriptor; shortest: in
    characters.
    """
    if file is not None and descriptor is not None:
        raise typer.BadParameter(f"give either {options[0]} or {options[1]}")
    if file is not None:
        with file.open("rb") as source:
            return parse_password(source.read(MOST_BYTES + 1), shortest)
    if descriptor is not None:
        return parse_password(_read_all(descriptor), shortest)
    if not (sys.stdin and sys.stdin.isatty()):
        raise BadPassword("there is no terminal to ask on", hint=f"use {options[0]} or {options[1]}")
    password = parse_password(type_unseen(f"{title}: ").encode(), shortest)
    if confirm and type_unseen("The same again: ") != password:
        raise BadPassword("the two passwords differ")
    return password


def type_unseen(prompt: str) -> str:
    """Return what a person types, which is not shown; raises BadPassword for what is no UTF-8."""
    try:
        text = getpass(prompt)
        text.encode()
    except UnicodeError:
        raise BadPassword("what was typed is not UTF-8 text") from None
    return text


def parse_password(content: bytes, shortest: int = SHORTEST) -> str:
    """Return the one line that `content` is, without its end; raises BadPassword."""
    try:
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadPassword("the password is not UTF-8 text") from error
    if "\n" in text:
        raise BadPassword("the password must be a single line")
    if not shortest <= len(text) <= LONGEST:
        raise BadPassword(f"a password has {shortest} to {LONGEST:,} characters")
    return text


def _read_all(descriptor: int) -> bytes:
    """Read a descriptor to its end, but not more than a password can be; raises BadPassword."""
    content = b""
    try:
        while len(content) <= MOST_BYTES and (part := os.read(descriptor, MOST_BYTES)):
            content += part
    except OSError as error:
        raise BadPassword(f"descriptor {descriptor} cannot be read: {error.strerror}") from error
    return content


def hand_over(password: str) -> int:
    """Return a descriptor from which a program that we start reads the password once."""
    reader, writer = os.pipe()
    os.write(writer, password.encode() + b"\n")
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


def handed_over(words: Sequence[str], secrets: Iterable[tuple[str, str]]) -> tuple[list[str], list[int]]:
    """Return a command line with the options that name a descriptor for each password, and the descriptors.

    secrets: option and password. Whoever starts the program closes the descriptors then.
    """
    line, descriptors = [*words], list[int]()
    for option, password in secrets:
        descriptors.append(hand_over(password))
        line += [option, str(descriptors[-1])]
    return line, descriptors
