"""The commands `qekm doctor` and `qekm doctor bundle`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from qekm.errors import EXIT_VERDICT
from qekm_cli.commands import Noun, global_options, whole_number
from qekm_cli.connection import home_of, invocation_of
from qekm_cli.render import document, wants_json

if TYPE_CHECKING:
    from qekm.client import Client
    from qekm.doctor.finding import Finding


class Doctor(TyperGroup):
    """Does its work when no verb is named, and takes the global options itself."""

    def __init__(self, **more: Any) -> None:
        more["params"] = [*(more.get("params") or []), *global_options(hidden=True)]
        more |= {"invoke_without_command": True, "subcommand_metavar": "[COMMAND]"}
        super().__init__(**more)


app = Noun(cls=Doctor)

_FIRST_S = 5.0  # for the home to be seen at all


@app.callback()
def doctor(context: typer.Context) -> None:
    """Tell what is broken here and on the way to the service; ends with 5 if something is."""
    if context.invoked_subcommand is not None:
        return
    from qekm.doctor.finding import first_broken
    from qekm.doctor.report import lines, summary

    found = []
    for finding in examine(context):
        found.append(finding)
        if not wants_json(context):
            print(*lines(finding), sep="\n", flush=True)
    first = first_broken(found)
    if wants_json(context):
        document(told(found))
    else:
        print(*summary(found), sep="\n")
    if first is not None:
        raise typer.Exit(EXIT_VERDICT)


def told(found: list[Finding]) -> dict[str, Any]:
    """Return the document of an examination; `broken` is the first thing that is, if one is."""
    from qekm.doctor.finding import first_broken

    first = first_broken(found)
    return {"broken": first.plain() if first else None, "findings": [each.plain() for each in found]}


def examine(context: typer.Context) -> Iterator[Finding]:
    """Yield how every step ended: those of the home, then those on the way to the service."""
    from qekm.doctor.walk import timely
    from qekm_cli.doctor import homes, links

    home = home_of(context)
    target = invocation_of(context).target
    before = homes.elsewhere() if target and not home.config.exists() else homes.examine(home)
    yield from before
    link = timely(_FIRST_S, lambda: _link(context))
    if link is not None:  # else the home does not answer, which its step tells
        yield from links.examine(link, before)


def _link(context: typer.Context) -> Any:
    """Return what leads to the service that the options, or the home, name."""
    from qekm_cli.doctor.links import Link
    from qekm_cli.doctor.routes import route

    home, invocation = home_of(context), invocation_of(context)
    found = route(home, invocation.target, invocation.identity)
    invocation.identity = found.identity
    invocation.target = invocation.target or (found.target if found.named else None)

    return Link(home, found.target, found.identity, found.named, lambda: _client(context))


def _client(context: typer.Context) -> AbstractContextManager[Client]:
    """Return a client with the session that `qekm login` keeps; none is asked for, and none forgotten."""
    from qekm_cli.session_file import SessionFile

    told, kept = invocation_of(context), SessionFile.of(context)
    return told.connect(told.home, told.target, kept.identity, session=kept.peek())


@app.command("bundle")
def bundle(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option(help="The file to make; one that is there is not replaced.", metavar="FILE.tar.gz")
    ],
    mask_names: Annotated[
        bool, typer.Option("--mask-names", help="Put pseudonyms for serials, volsers, names and addresses.")
    ] = False,
    lines: Annotated[
        int,
        typer.Option(help="The last N lines of each log.", metavar="N", parser=whole_number(0, 1_000_000)),
    ] = 2_000,
    records: Annotated[
        int, typer.Option(help="The last N audit records.", metavar="N", parser=whole_number(0, 100_000))
    ] = 500,
) -> None:
    """Pack what helps whoever looks into a trouble: no key, no password, no private file is in it.

    It works while the service is down. Look at its README.txt before you give it away.
    """
    from qekm_cli.doctor.bundle import Wanted, gather
    from qekm_cli.doctor.journal import read_journal
    from qekm_cli.doctor.packing import pack
    from qekm_cli.render import done

    if output.exists():
        raise typer.BadParameter(f"{output} is there already; name another --output")
    found = list(examine(context))
    asked = invocation_of(context)
    wanted = Wanted(lines, records, mask_names, asked.target or "", asked.identity or "")
    journal = read_journal(lines)
    members = gather(home_of(context), wanted, told(found), lambda: _client(context), journal)
    size = pack(output, members)
    sentence = (
        f"{output}: {len(members)} files, {size:,} bytes; look at its README.txt before you give it away"
    )
    more = f"\nmissing: {journal.missing}" if journal.missing else ""
    packed = {"file": str(output), "members": sorted(members), "size": size, "missing": journal.missing}
    done(context, packed, sentence + more)
