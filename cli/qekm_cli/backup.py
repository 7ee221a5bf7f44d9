"""`qekm backup`: backups made, listed, proved, opened as after a disaster, and restored."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any

import typer

from qekm.progress import Steps
from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import client_of, home_of, invocation_of
from qekm_cli.processes import SERVICE, program
from qekm_cli.proofs import Proving, read_proof
from qekm_cli.render import Column, Plain, done, listing, pages, plain, record

app = Noun()

WORK_SECONDS = 6 * 3_600  # deadline of a call; a million keys on a slow disk take minutes
MOST_HOURS, MOST_KEPT = 8_760, 1_000


def _place(row: Plain) -> str:
    return "another disk" if row["independent"] else "the store's disk"


LIST = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("MADE", "create_time"),
    Column("KEYS", lambda row: f"{row['key_count']:,}"),
    Column("ON", _place),
)
SHOW = (
    Column("Name", "name"),
    Column("State", "state"),
    Column("Made", "create_time"),
    Column("Keys", lambda row: f"{row['key_count']:,}"),
    Column("Bytes", lambda row: f"{row['size']:,}"),
    Column("SHA-256", "sha256"),
    Column("In", "target"),
    Column("On", _place),
    Column("Proved", "verify_time"),
    Column("Last drill", "drill_time"),
)
SCHEDULE = (
    Column("Hours between two", lambda row: row["every_hours"] or "none: only when there are new keys"),
    Column("Kept", "keep"),
    Column("Next", "next_time"),
)
NameArgument = Annotated[
    str, typer.Argument(help="Name of the backup; the newest if none.", metavar="[NAME]", show_default=False)
]


@app.command("create")
def create_backup(context: typer.Context) -> None:
    """Make a backup now, and prove it; its keys may be given out then."""
    from qekm.v1 import backups_pb2 as pb

    with client_of(context) as client:
        row = _followed(client.backups.CreateBackup(pb.CreateBackupRequest(), timeout=WORK_SECONDS))
    done(context, row, f"{row['name']} is made and proved: {row['key_count']:,} keys, on {_place(row)}")


@app.command("list")
def list_backups(context: typer.Context) -> None:
    """List the backups that were made, the newest first."""
    from qekm.v1 import backups_pb2 as pb

    with client_of(context) as client:
        found = pages(client.backups.ListBackups, pb.ListBackupsRequest(), "backups")
        listing(context, "backups", map(plain, found), LIST)


@app.command("verify")
def verify_backup(context: typer.Context, name: NameArgument = "") -> None:
    """Prove a backup again, as it lies there now: every key, every record."""
    from qekm.v1 import backups_pb2 as pb

    with client_of(context) as client:
        request = pb.VerifyBackupRequest(name=name)
        record(context, _followed(client.backups.VerifyBackup(request, timeout=WORK_SECONDS)), SHOW)


@app.command("drill", kind=Proving)
def drill_backup(context: typer.Context, name: NameArgument = "") -> None:
    """Open a backup with what people have, as after a disaster, and prove it."""
    from qekm.v1 import backups_pb2 as pb

    request = pb.DrillBackupRequest(name=name, proof=read_proof(context))
    with client_of(context) as client:
        row = _followed(client.backups.DrillBackup(request, timeout=WORK_SECONDS))
    done(context, row, f"{row['name']} was opened and proved: {row['key_count']:,} keys")


@app.command("schedule")
def show_schedule(
    context: typer.Context,
    every: Annotated[
        int | None,
        typer.Option(
            help="Hours between two backups; 0: only when there are new keys.",
            metavar="HOURS",
            parser=whole_number(0, MOST_HOURS),
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(help="Backups that are kept.", metavar="N", parser=whole_number(1, MOST_KEPT)),
    ] = None,
) -> None:
    """Show when backups are made and how many are kept, or change that."""
    from qekm.v1 import backups_pb2 as pb

    with client_of(context) as client:
        schedule = client.backups.GetSchedule(pb.GetScheduleRequest()).schedule
        if every is not None or keep is not None:
            schedule.every_hours = schedule.every_hours if every is None else every
            schedule.keep = schedule.keep if keep is None else keep
            schedule = client.backups.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule)).schedule
    record(context, plain(schedule), SCHEDULE)


@app.command("restore", kind=Proving)
def restore_backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The backup's file.", metavar="FILE")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address for the certificates, if others than before.", metavar="HOST"),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", help="Setting that shall be other than it was.", metavar="NAME=VALUE"),
    ] = None,
    lose: Annotated[
        int,
        typer.Option(help="Keys that were given out and may be lost: exactly so many.", metavar="N", min=0),
    ] = 0,
) -> None:
    """Restore a backup: onto an empty home, or in the place of the key manager there, which is stopped.

    Onto an empty home it takes a slot: the password, or what an option names. In the place of another it
    takes a second person's approval; what was there is kept beside.
    """
    if invocation_of(context).target:
        raise typer.BadParameter("a restore is done on the machine itself, without --target", ctx=context)
    home = home_of(context)
    words = [program("qekm-server"), "restore", str(file.absolute()), "--home", str(home.path)]
    for name in host or []:
        words += ["--host", name]
    for assignment in properties or []:
        words += ["--property", assignment]
    if lose:
        words += ["--lose", str(lose)]
    there = home.config.exists() or home.pending.exists()
    if not there or invocation_of(context).given or _is_asked(home):
        words += ["--proof-fd", str(_piped(read_proof(context).SerializeToString()))]
    if there:
        words.append("--replace")
        if home.running(SERVICE.name) is not None:
            _prepare(context, file)
    sys.stdout.flush()
    # One program of ours becomes the other: terminal, Ctrl-C and exit code need no passing on.
    os.execv(words[0], words)  # noqa: S606


def _prepare(context: typer.Context, file: Path) -> None:
    """Have the service agree to be replaced by this file, and stop it; raises ApprovalNeeded."""
    from qekm.v1 import backups_pb2 as pb
    from qekm_cli.server import stop

    with file.open("rb") as content:
        sha256 = file_digest(content, "sha256").digest()
    with client_of(context) as client:
        client.backups.PrepareRestore(pb.PrepareRestoreRequest(sha256=sha256, name=file.name))
    print(f"{' and '.join(stop(context))} stopped", file=sys.stderr)


def _is_asked(home: Any) -> bool:
    """Tell whether the store that is there is opened by a password."""
    from qekm.configuration.settings import Settings

    return home.config.exists() and bool(Settings.load(home.config)["keystore.slot"] == "password")


def _piped(content: bytes) -> int:
    """Return a descriptor from which the program that this one becomes reads a proof once."""
    reader, writer = os.pipe()
    os.write(writer, content)  # a pipe holds more than any proof has
    os.close(writer)
    os.set_inheritable(reader, True)
    return reader


def _followed(answers: Iterable[Any]) -> Plain:
    """Show the progress that answers tell, a bar for each step; return the backup that the last one has."""
    bars, last = Steps(sys.stderr), None
    for last in answers:
        if last.HasField("progress") and sys.stderr.isatty():
            bars(last.progress.step, last.progress.done, last.progress.total)
    return plain(last.backup) if last is not None else {}
