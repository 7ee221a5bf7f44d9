"""Passwords from files, descriptors and terminals."""

import os
import pty
import sys
from pathlib import Path

import pytest
import typer

from qekm.errors import BadPassword
from qekm_cli.passwords import hand_over, parse_password, read_password


def test_a_file_gives_its_one_line_without_the_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in ("correct horse", "correct horse\n", "correct horse\r\n"):
        file.write_bytes(content.encode())
        assert read_password(file, None, confirm=True) == "correct horse"
    file.write_text("  schöne Grüße  \n")
    assert read_password(file, None, confirm=True) == "  schöne Grüße  "


def test_a_descriptor_gives_what_is_written_to_it_in_pieces() -> None:
    reader, writer = os.pipe()
    if os.fork() == 0:
        for piece in (b"correct ", b"horse\n"):
            os.write(writer, piece)
        os._exit(0)
    os.close(writer)
    assert read_password(None, reader, confirm=True) == "correct horse"
    os.close(reader)
    os.wait()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"short", "8 to 1,024 characters"),
        (b"", "8 to 1,024 characters"),
        (b"x" * 1025, "8 to 1,024 characters"),
        (b"x" * 100_000, "8 to 1,024 characters"),
        (b"two\nlines of it\n", "a single line"),
        (b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "not UTF-8"),
    ],
)
def test_what_can_be_no_password_is_refused_and_not_repeated(
    content: bytes, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(BadPassword, match=told) as caught:
        read_password(file, None, confirm=True)
    assert content.decode("latin-1") not in caught.value.message or not content


def test_the_longest_password_of_the_widest_characters_is_taken() -> None:
    assert len(parse_password(("\U0001f511" * 1024).encode())) == 1024


def test_a_file_or_descriptor_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_password(tmp_path / "none", None, confirm=False)
    with pytest.raises(BadPassword, match="descriptor 999 cannot be read"):
        read_password(None, 999, confirm=False)
    with pytest.raises(typer.BadParameter):
        read_password(tmp_path, 3, confirm=False)


def test_without_a_terminal_nothing_is_asked() -> None:
    assert not sys.stdin.isatty()
    with pytest.raises(BadPassword, match="no terminal") as caught:
        read_password(None, None, confirm=False)
    assert "--password-file" in caught.value.advice


READ = "from qekm_cli.passwords import read_password as read", "None, None, confirm={}"
ASK = "from qekm_cli.prompts import ask_password as read", "'Password'"


def asked(typed: bytes, confirm: bool, how: tuple[str, str] = READ) -> bytes:
    """Return what a child says that reads a password from a terminal on which `typed` is typed."""
    child, terminal = pty.fork()
    if child == 0:
        code = (
            f"{how[0]}\nfrom qekm.errors import BadPassword\n"
            f"try: print('GOT', len(read({how[1].format(confirm)})))\n"
            "except BadPassword as error: print('REFUSED', error)\n"
        )
        os.execv(sys.executable, [sys.executable, "-c", code])
    told = b""
    for line in typed.splitlines(keepends=True):
        while not told.rstrip(b" ").endswith(b":"):
            told += os.read(terminal, 1000)
        os.write(terminal, line)
        told += b"|"
    try:
        while part := os.read(terminal, 1000):
            told += part
    except OSError:
        pass
    os.waitpid(child, 0)
    os.close(terminal)
    return told


def test_a_terminal_is_asked_without_echo_and_twice_when_the_password_is_new() -> None:
    told = asked(b"correct horse\n", confirm=False)
    assert b"GOT 13" in told
    assert b"correct" not in told
    assert b"GOT 13" in asked(b"correct horse\ncorrect horse\n", confirm=True)
    assert b"REFUSED the two passwords differ" in asked(b"correct horse\nwrong horse\n", confirm=True)


@pytest.mark.parametrize("how", [READ, ASK])
def test_what_is_typed_and_no_utf_8_is_refused_and_not_repeated(how: tuple[str, str]) -> None:
    assert b"GOT 13" in asked(b"correct horse\n", False, how)
    told = asked(b"gr\xfc\xdfe aus 1990\n", False, how)
    assert b"REFUSED what was typed is not UTF-8 text" in told
    assert b"1990" not in told and b"Traceback" not in told


def test_a_password_is_handed_over_once_through_a_pipe() -> None:
    descriptor = hand_over("x" * 1024)
    assert os.get_inheritable(descriptor)
    assert os.read(descriptor, 5000) == b"x" * 1024 + b"\n"
    assert os.read(descriptor, 5000) == b""
    os.close(descriptor)
