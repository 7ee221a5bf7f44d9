"""What a person opens the keystore with: the password, unless an option names something else.

Every verb that needs it takes the same options (`kind=Proving`); nothing of it is an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperOption

from qekm.errors import BadFile, BadShares, KeystoreLocked
from qekm_cli.commands import Guarded, kept, whole_number
from qekm_cli.connection import invocation_of
from qekm_cli.passwords import read_password, type_unseen

if TYPE_CHECKING:
    from qekm.client import Client

T = TypeVar("T")

KEY_LENGTH = 32  # bytes of a key file
_NAMES = ("password_file", "password_fd", "key_file", "shares", "shares_file", "pin_file")  # of the options
MOST_SHARES = 16
_LONGEST = 65_536  # bytes of a file of shares
_LONGEST_PIN = 4_096


def _options() -> list[TyperOption]:
    """Return new instances of the options that name what the keystore is opened with."""
    number = whole_number(0, 2**20)
    shares = "Open with the shares in this file, one a line; repeat for more."
    return [
        kept("--password-file", "Open with the password in this file.", type=str, metavar="FILE"),
        kept("--password-fd", "Open with the password from this open descriptor.", type=number, metavar="N"),
        kept("--key-file", "Open with this key file.", type=str, metavar="FILE"),
        kept("--shares", "Open with recovery shares, which are asked for.", is_flag=True),
        kept("--shares-file", shares, type=str, metavar="FILE", multiple=True),
        kept("--pin-file", "Open with the token's PIN in this file.", type=str, metavar="FILE"),
    ]


class Proving(Guarded):
    """A command that may need the keystore opened."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **more: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), *_options()], **more)


def read_proof(context: typer.Context) -> Any:
    """Return what opens the keystore as a message (Proof), asked for if no option named it.

    Raises BadPassword, BadFile, BadShares, and OSError for a file that cannot be read.
    """
    from qekm.v1.slots_pb2 import Proof, Shares

    given = _given(context)
    kinds = {name.removesuffix("_file").removesuffix("_fd") for name in given}
    if len(kinds) > 1:
        told = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"the keystore is opened with one thing, not with several: {told}")
    if "key_file" in given:
        return Proof(key_file=read_key_file(Path(given["key_file"])))
    if "pin_file" in given:
        return Proof(pin=read_pin(Path(given["pin_file"])))
    if "shares" in kinds:
        files = [Path(name) for name in given.get("shares_file", ())]
        return Proof(shares=Shares(mnemonics=read_shares(files) if files else _ask_shares()))
    file = Path(given["password_file"]) if "password_file" in given else None
    return Proof(password=read_password(file, given.get("password_fd"), confirm=False).encode())


def opened(context: typer.Context, client: Client, act: Callable[[], T]) -> T:
    """Return what an act returns that needs the keystore open, and open it if the service says so.

    Where nothing was named and nobody can be asked, KeystoreLocked is raised as the service told it.
    """
    try:
        return act()
    except KeystoreLocked:
        if not _given(context) and not (sys.stdin and sys.stdin.isatty()):
            raise
    unlock(context, client)
    return act()


def begun(answers: Iterable[T]) -> Iterator[T]:
    """Return all answers of a call once the first is there: what refuses the call is raised here."""
    rest = iter(answers)
    return chain(list(islice(rest, 1)), rest)


def unlock(context: typer.Context, client: Client) -> Any:
    """Open the keystore for whom the client shows, and return the service's answer."""
    from qekm.v1.keystore_pb2 import UnlockKeystoreRequest

    return client.keystore.UnlockKeystore(UnlockKeystoreRequest(proof=read_proof(context)))


def _given(context: typer.Context) -> dict[str, Any]:
    """Return what was given of the options above; a verb may take others besides."""
    given = invocation_of(context).given
    return {name: given[name] for name in _NAMES if name in given}


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a key file; raises BadFile."""
    content = _read(path, KEY_LENGTH)
    if len(content) != KEY_LENGTH:
        raise BadFile(f"{path} is no key file: it does not hold {KEY_LENGTH} bytes", file=str(path))
    return content


def read_pin(path: Path) -> bytes:
    """Return a token's PIN without its line end; raises BadFile."""
    content = _read(path, _LONGEST_PIN)
    pin = content.removesuffix(b"\n").removesuffix(b"\r")
    if not pin or len(content) > _LONGEST_PIN or b"\n" in pin:
        raise BadFile(f"{path} holds no PIN: it is not one line", file=str(path))
    return pin


def read_shares(files: list[Path]) -> list[str]:
    """Return the shares of text files, one a line; a # begins a comment. Raises BadShares, BadFile."""
    shares: list[str] = []
    for file in files:
        content = _read(file, _LONGEST)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if len(content) > _LONGEST or "\0" in text:
            raise BadFile(f"{file} is no text file of recovery shares", file=str(file))
        lines = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
        shares += [line for line in lines if line]
    return _checked(shares)


def _ask_shares() -> list[str]:
    """Ask for one share after the other, without showing them, until an empty line."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise BadShares("there is no terminal to ask on", hint="use --shares-file")
    shares: list[str] = []
    while len(shares) < MOST_SHARES:
        share = " ".join(type_unseen(f"Recovery share {len(shares) + 1} (empty: no more): ").split())
        if not share:
            break
        shares.append(share)
    return _checked(shares)


def _checked(shares: list[str]) -> list[str]:
    if not 0 < len(shares) <= MOST_SHARES:
        raise BadShares(f"{len(shares) or 'no'} recovery shares were given; there are at most {MOST_SHARES}")
    return shares


def _read(path: Path, longest: int) -> bytes:
    with path.open("rb") as file:
        return file.read(longest + 1)
