"""Java keystores: their passwords, which are not those of this key manager, and the keys in them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperOption

from qekm.errors import BadPassword
from qekm_cli.commands import kept, whole_number
from qekm_cli.connection import invocation_of
from qekm_cli.keyfiles import FileKey
from qekm_cli.passwords import read_password
from qekm_cli.proofs import Proving
from qekm_cli.render import progress

if TYPE_CHECKING:
    from qekm.interchange.jceks import ProtectedKey
    from qekm.secret import Secret

SHORTEST = 6  # characters: Java takes none shorter, and the original none shorter either
Useless = tuple[str, str]  # alias, and why its key is of no use


class Storing(Proving):
    """A command that may make a Java keystore."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **more: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), *_options()[:2]], **more)


class Reading(Proving):
    """A command that may open a Java keystore, whose keys may have a password of their own."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **more: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), *_options()], **more)


def _options() -> list[TyperOption]:
    """Return new instances of the options that name the passwords of a Java keystore, its own first."""
    number, store, keys = (
        whole_number(0, 2**20),
        "Password of the Java keystore",
        "Password of the keys in it",
    )
    return [
        kept("--store-password-file", f"{store}, in this file.", type=str, metavar="FILE"),
        kept("--store-password-fd", f"{store}, from this open descriptor.", type=number, metavar="N"),
        kept("--key-password-file", f"{keys}, if another, in this file.", type=str, metavar="FILE"),
        kept("--key-password-fd", f"{keys}, if another, from this descriptor.", type=number, metavar="N"),
    ]


class Opened(NamedTuple):
    """What a Java keystore holds: keys, those of no use for tapes, and how many entries are no such keys."""

    keys: list[FileKey]
    useless: list[Useless]
    others: int


def open_store(context: typer.Context, content: bytes) -> Opened:
    """Return the keys of a Java keystore, whose passwords are asked for; BadFile, BadPassword."""
    from qekm.interchange import jceks

    password = store_password(context, confirm=False)
    entries = jceks.parse(content, password)
    protected = jceks.secret_keys(entries)
    key_password = _key_password(context, protected, password)
    with progress("opening keys", len(protected)) as bar:
        keys, useless = jceks.data_keys(protected, key_password, bar.update)
    found = [FileKey(key.alias, key.material) for key in keys]
    reasons = [(each.alias, each.why.message) for each in useless]
    return Opened(found, reasons, len(entries) - len(protected))


def write_store(keys: Sequence[FileKey], password: Secret) -> bytes:
    """Return a Java keystore of these keys, each under the store's own password."""
    from qekm.interchange import jceks

    now_ms = time.time_ns() // 1_000_000
    entries = [jceks.SecretKey(key.alias, now_ms, "AES", key.material) for key in keys]
    with progress("protecting keys", len(keys)) as bar:
        return jceks.write(entries, password, tell=bar.update)


def store_password(context: typer.Context, *, confirm: bool) -> Secret:
    """Return the password of a Java keystore, asked for if no option names it; BadPassword.

    confirm: it is a new one, so it is asked for twice and must be such as Java takes.
    """
    from qekm.interchange import jceks

    password = _read(context, "store", confirm=confirm)
    if confirm:
        jceks.write([], password)
    return password


def _key_password(context: typer.Context, entries: Sequence[ProtectedKey], store: Secret) -> Secret:
    """Return the password of the keys: the store's unless one is named, or the first key has another."""
    from qekm.interchange import jceks

    if {"key_password_file", "key_password_fd"} & invocation_of(context).given.keys():
        return _read(context, "key", confirm=False)
    if jceks.opens_one(entries, store):
        return store
    if not (sys.stdin and sys.stdin.isatty()):
        hint = "use --key-password-file or --key-password-fd"
        raise BadPassword("the keys in it have another password than the keystore", hint=hint)
    return _read(context, "key", confirm=False)


def _read(context: typer.Context, whose: str, *, confirm: bool) -> Secret:
    from qekm.secret import Secret

    given = invocation_of(context).given
    name = given.get(f"{whose}_password_file")
    text = read_password(
        Path(name) if name else None,
        given.get(f"{whose}_password_fd"),
        confirm=confirm,
        title=f"Password of the Java keystore{'' if whose == 'store' else chr(39) + 's keys'}",
        options=(f"--{whose}-password-file", f"--{whose}-password-fd"),
        shortest=SHORTEST,
    )
    return Secret(text.encode())
