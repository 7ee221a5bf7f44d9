"""`qekm keys export`: keys for another site, encrypted to it, or for a program that takes them otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm_cli import keyfiles
from qekm_cli.connection import client_of
from qekm_cli.javastores import store_password, write_store
from qekm_cli.keyfiles import FileKey, Format
from qekm_cli.outputs import new_file
from qekm_cli.proofs import begun, opened
from qekm_cli.render import done, pages

if TYPE_CHECKING:
    from qekm.client import Client

SECONDS = 3_600  # deadline: 100,000 keys take minutes
_CLEAR = ("ltfs", "stenc")
_WARNINGS = {
    "jceks": "its keys are under MD5 and Triple DES, as Java has it: guard the file as if they were in clear",
    "ltfs": "its keys are in clear: who reads the file reads the tapes",
    "stenc": "its key is in clear: who reads the file reads the tapes",
}


def export_keys(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="File to make, mode 0600.", metavar="FILE")],
    aliases: Annotated[
        list[str] | None, typer.Argument(help="Aliases of keys that were used.", metavar="[ALIAS...]")
    ] = None,
    group: Annotated[str, typer.Option(help="All used keys of this group instead.", metavar="NAME")] = "",
    to: Annotated[str, typer.Option(help="Partner that they are encrypted to.", metavar="PARTNER")] = "",
    format_: Annotated[Format, typer.Option("--format", help="Kind of the file.", show_default=True)] = "cms",
    in_clear: Annotated[
        bool, typer.Option("--in-clear", help="Yes, with keys in clear: for ltfs and stenc.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Give keys to another site, or to a program that sets them itself; takes a second person.

    Keys that were never used stay: two sites could give them to two cartridges.
    """
    from qekm.v1 import sharing_pb2 as pb

    _check(aliases or [], group, to, format_, in_clear)
    request = pb.ExportKeysRequest(aliases=aliases or [], group=group, partner=to)
    with client_of(context) as client, new_file(output, force=force) as write:
        make = _maker(context, format_)
        call = client.sharing.ExportKeys
        answers = opened(context, client, lambda: begun(call(request, timeout=SECONDS)))
        count = make(answers, write) or _count(client, aliases or [], group)
    row = {"file": str(output), "format": format_, "partner": to or None, "keys": count}
    whom = f"for partner {to}" if to else f"as {format_}"
    done(context, row, f"{count:,} {'key' if count == 1 else 'keys'} exported {whom}: {output}")
    if format_ in _WARNINGS:
        print(f"qekm: {_WARNINGS[format_]}", file=sys.stderr)


def _check(aliases: Sequence[str], group: str, to: str, kind: Format, in_clear: bool) -> None:
    """Refuse what makes no sense before anybody is asked for anything."""
    if bool(aliases) == bool(group):
        raise typer.BadParameter("name the keys, or a group with --group")
    if (kind == "cms") != bool(to):
        raise typer.BadParameter("--to names the partner of an export as cms, and of no other")
    if (kind in _CLEAR) != in_clear:
        raise typer.BadParameter(
            f"{' and '.join(_CLEAR)} have keys in clear: these, and only these, take --in-clear"
        )
    if kind == "stenc" and len(aliases) != 1:
        raise typer.BadParameter("a key file of stenc holds one key: name just one")


Maker = Callable[[Iterable[Any], Callable[[bytes], None]], int]


def _maker(context: typer.Context, kind: Format) -> Maker:
    """Return what makes the file of the answers and returns how many keys it has, 0 if it cannot see that."""
    if kind == "cms":
        return _pass_on
    if kind == "jceks":
        password = store_password(context, confirm=True)
        return _collecting(lambda keys: write_store(keys, password))
    return _collecting(keyfiles.write_ltfs if kind == "ltfs" else keyfiles.write_stenc)


def _pass_on(answers: Iterable[Any], write: Callable[[bytes], None]) -> int:
    for answer in answers:
        write(answer.data)
    return 0


def _collecting(serialize: Callable[[Sequence[FileKey]], bytes]) -> Maker:
    def make(answers: Iterable[Any], write: Callable[[bytes], None]) -> int:
        from qekm.secret import Secret

        keys = [
            FileKey(key.alias, Secret(key.material), key.dki) for answer in answers for key in answer.keys
        ]
        write(serialize(keys))
        for key in keys:
            key.material.wipe()
        return len(keys)

    return make


def _count(client: Client, aliases: Sequence[str], group: str) -> int:
    """Return how many keys are in a file that only the partner can look into."""
    from qekm.v1 import keystore_pb2 as pb

    if aliases:
        return len({alias.lower() for alias in aliases})
    keys = pages(client.keystore.ListKeys, pb.ListKeysRequest(group=group), "keys")
    staying = {
        pb.KEY_STATE_GENERATED,
        pb.KEY_STATE_READY,
        pb.KEY_STATE_DESTROY_PENDING,
        pb.KEY_STATE_DESTROYED,
    }
    bound = pb.KEY_STATE_ASSIGNED  # to a drive's entry, and no cartridge was written yet
    return sum(
        key.state not in staying and (key.state != bound or key.HasField("assign_time")) for key in keys
    )
