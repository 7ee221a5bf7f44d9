"""`qekm report`: ask the service for a report, and write it as HTML, PDF or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qekm.errors import EXIT_VERDICT
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.outputs import new_file
from qekm_cli.render import Plain, document, plain, progress, wants_json
from qekm_cli.since import parse_since

app = Noun()

Format = Literal["html", "pdf", "json"]
SECONDS = 3_600  # deadline; about 100,000 records a second are checked
_EXTRA = "make the report as HTML, or install what makes PDFs: pip install 'qekm[report]'"


def _when(text: str) -> datetime:
    try:
        return parse_since(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("report")
def make_report(
    context: typer.Context,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Begin of the span: 2026-11-01, 2026-11-23T17:04, or 30d before now; 30 days if not given.",
            metavar="WHEN",
            parser=_when,
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="End of the span, not included; now if not given.", metavar="WHEN", parser=_when),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to make, mode 0600; else standard output.", metavar="FILE")
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Kind of the file, if its name does not tell.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Report a span of time, as a file for an auditor; ends with 5 if the trail is broken.

    The whole trail is checked for it. That it was made is recorded in the trail.
    """
    kind = format_ or _kind(context, output)
    make = _maker(kind)
    _check_output(output, kind)
    place: AbstractContextManager[Callable[[bytes], object]] = nullcontext(_print)
    if output is not None:
        place = new_file(output, force=force)
    with place as write:
        report = _ask(context, since, until)
        content = make(report)
        write(content)
    _tell(context, report, content, output)
    if not report["trail"]["verdict"]["intact"]:
        raise typer.Exit(EXIT_VERDICT)


def _kind(context: typer.Context, output: Path | None) -> Format:
    """Return what a file's name tells; without a file JSON if that is wanted, else HTML."""
    kinds: dict[str, Format] = {".html": "html", ".htm": "html", ".pdf": "pdf", ".json": "json"}
    if output is None:
        return "json" if wants_json(context) else "html"
    if output.suffix.lower() not in kinds:
        raise typer.BadParameter(
            f"{output.name} does not tell what it is to be: add --format html, pdf or json"
        )
    return kinds[output.suffix.lower()]


def _check_output(output: Path | None, kind: Format) -> None:
    """Refuse before anybody is asked for anything what cannot be written."""
    if output is None and kind != "json" and sys.stdout.isatty():
        raise typer.BadParameter("a report is no text for a terminal: name a file with --output")
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {output.parent}")


def _maker(kind: Format) -> Callable[[Plain], bytes]:
    """Return what makes the file; BadParameter where the library for it is not installed."""
    if kind == "json":
        return _as_json
    from qekm_cli.report.document import document_of

    if kind == "html":
        from qekm_cli.report import webpage

        return lambda report: webpage.render(document_of(report))
    try:
        from qekm_cli.report import paper
    except ImportError:
        raise typer.BadParameter(f"what makes PDFs is not installed; {_EXTRA}") from None
    return lambda report: paper.render(document_of(report))


def _as_json(report: Plain) -> bytes:
    import json

    return json.dumps(report, indent=2).encode() + b"\n"


def _ask(context: typer.Context, since: datetime | None, until: datetime | None) -> Plain:
    """Return the service's report; its trail is checked meanwhile."""
    from qekm.errors import Incident
    from qekm.v1 import report_pb2 as pb

    request = pb.GetReportRequest()
    for field, moment in (("since", since), ("until", until)):
        if moment is not None:
            getattr(request, field).FromDatetime(moment)
    report: Any = None
    with client_of(context) as client, progress("checking records", 0) as bar:
        for answer in client.report.GetReport(request, timeout=SECONDS):
            bar.length = answer.total
            bar.update(answer.checked - bar.pos)
            report = answer.report if answer.HasField("report") else None
    if report is None:
        raise Incident("the service ended without a report")
    return plain(report)


def _print(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _tell(context: typer.Context, report: Plain, content: bytes, output: Path | None) -> None:
    """Say what was made: in standard output, or beside it where the report itself is there."""
    from hashlib import sha256

    trail = report["trail"]
    intact = trail["verdict"]["intact"]
    digest = sha256(content).hexdigest()
    if output is not None and wants_json(context):
        row = {"file": str(output), "size": len(content), "sha256": digest, "intact": intact}
        document({**row, "checked": trail["checked"], "head": trail["verdict"]["head"]})
        return
    found = "intact" if intact else f"BROKEN at record {trail['verdict']['broken_at']:,}"
    lines = (
        f"{output or 'report'}: {len(content):,} bytes, {trail['record_count']:,} records of the span",
        f"trail: {trail['checked']:,} records checked, {found}; head {trail['verdict']['head']}",
        f"SHA-256: {digest}",
    )
    print(*lines, sep="\n", file=sys.stderr if output is None else sys.stdout)
