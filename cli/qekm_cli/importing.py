"""`qekm keys import`: keys of another site, or of the key manager that was here before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from qekm.errors import EXIT_VERDICT, BadFile
from qekm_cli import keyfiles
from qekm_cli.connection import client_of
from qekm_cli.javastores import Useless, open_store
from qekm_cli.keyfiles import FileKey, Format
from qekm_cli.proofs import opened
from qekm_cli.render import Column, Plain, document, plain, table, wants_json

if TYPE_CHECKING:
    from qekm.client import Client

SECONDS = 3_600  # deadline: 100,000 keys take minutes
_PART = 65_536  # bytes of a file in a message
_BATCH = 64  # keys in one; the service commits as many
LIST = (
    Column("ALIAS", "alias"),
    Column("OUTCOME", "outcome"),
    Column("WHY", "message"),
)
_GOOD = ("imported", "present")


class Content(NamedTuple):
    """What a file has for the service: its own bytes or keys; what it need not see; a word on the rest."""

    data: bytes
    keys: Sequence[FileKey]
    useless: Sequence[Useless] = ()
    note: str = ""


def import_keys(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File with the keys.", metavar="FILE")],
    format_: Annotated[
        Literal["auto", "cms", "jceks", "ltfs", "stenc"],
        typer.Option("--format", help="Kind of the file; auto looks into it."),
    ] = "auto",
    group: Annotated[
        str, typer.Option(help="Group they join, made if need be; imported if not given.", metavar="NAME")
    ] = "",
    keep_case: Annotated[
        bool,
        typer.Option("--keep-case", help="Leave names of a Java keystore in lower case, as they are there."),
    ] = False,
) -> None:
    """Take keys in to read their cartridges; nothing that is here is changed.

    Ends with 5 if a key could not be taken. An import that was cut off is done by doing it again.
    """
    content = read_file(file)
    kind: Format = keyfiles.detect(content) if format_ == "auto" else format_
    with client_of(context) as client:
        call = _call(client, group, file.name)
        # Before minutes are spent on a Java keystore: may we, and is there such a group?
        opened(context, client, lambda: call([]))
        found = _content(context, kind, content, keep_case)
        report = opened(context, client, lambda: call(_parts(found)))
    for each in found.keys:
        each.material.wipe()
    rows = [plain(key) for key in report.keys]
    rows += [{"alias": alias, "outcome": "unusable", "message": why} for alias, why in found.useless]
    _tell(context, rows, report.sender, found.note)
    if any(row["outcome"] not in _GOOD for row in rows):
        raise typer.Exit(EXIT_VERDICT)


def read_file(file: Path) -> bytes:
    """Return what a file of keys holds; BadFile for one that is too long to be one, OSError."""
    with file.open("rb") as source:
        content = source.read(keyfiles.MOST_BYTES + 1)
    if len(content) > keyfiles.MOST_BYTES:
        raise BadFile(f"{file} has over {keyfiles.MOST_BYTES:,} bytes, more than any file of keys")
    return content


def _content(context: typer.Context, kind: Format, content: bytes, keep_case: bool) -> Content:
    """Return what a file holds; BadFile, BadPassword."""
    if kind == "cms":
        return Content(content, ())
    if kind == "jceks":
        from qekm.interchange.jceks import on_tape

        keys, useless, others = open_store(context, content)
        spelled = keys if keep_case else [FileKey(on_tape(key.alias), key.material) for key in keys]
        entries = "another entry" if others == 1 else f"{others} other entries"
        note = f"{entries} (key pairs, certificates) left alone" if others else ""
        return Content(b"", spelled, useless, note)
    return Content(b"", keyfiles.read_ltfs(content) if kind == "ltfs" else keyfiles.read_stenc(content))


def _parts(content: Content) -> Iterator[dict[str, Any]]:
    """Yield the fields of the messages that carry a content; material is in each as briefly as may be."""
    from qekm.v1.sharing_pb2 import ClearKey

    data, keys = content.data, content.keys
    for start in range(0, len(data), _PART):
        yield {"data": data[start : start + _PART]}
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        yield {"keys": [ClearKey(alias=key.alias, material=key.material.reveal()) for key in batch]}


def _call(client: Client, group: str, source: str) -> Callable[[Iterable[dict[str, Any]]], Any]:
    """Return what imports the parts of a content; without any it only asks whether one may."""
    from qekm.v1 import sharing_pb2 as pb

    def call(parts: Iterable[dict[str, Any]]) -> Any:
        first = pb.ImportKeysRequest(group=group, source=source)
        rest = (pb.ImportKeysRequest(**part) for part in parts)
        return client.sharing.ImportKeys(chain([first], rest), timeout=SECONDS)

    return call


def _tell(context: typer.Context, rows: list[Plain], sender: str, note: str) -> None:
    if wants_json(context):
        document({"sender": sender, "keys": rows})
        return
    print(*table(LIST, rows), sep="\n")
    counts = Counter(row["outcome"] for row in rows)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items())) or "no keys"
    print(f"\n{told}" + (f"; signed by partner {sender}" if sender else "") + (f"; {note}" if note else ""))
