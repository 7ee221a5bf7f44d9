"""What an operator may say of a drive: the arguments and options of `qekm drives add` and `modify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from qekm.interchange.roster import normal_serial, parse_wwnn


def _wwnn(text: str) -> bytes:
    """Return the bytes of a WWNN option; empty text means none."""
    try:
        return parse_wwnn(text) if text else b""
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _text(length: int) -> Callable[[str], str]:
    """Return a parser of a T10 text field of at most `length` characters."""

    def parsed(text: str) -> str:
        if len(text) > length or not (text.isascii() and text.isprintable()):
            raise typer.BadParameter(f"{text!r} is not at most {length} printable ASCII characters")
        return text

    return parsed


def _option(help_text: str, metavar: str | None = None, parser: Callable[[str], Any] | None = None) -> Any:
    return typer.Option(help=help_text, metavar=metavar, parser=parser)


SERIAL = typer.Argument(help="Serial number of the drive.", metavar="SERIAL", parser=normal_serial)
Serial = Annotated[str, SERIAL]
Wwnn = Annotated[bytes | None, _option("World-wide node name, 16 hex digits.", "HEX", _wwnn)]
Vendor = Annotated[str | None, _option("T10 vendor, up to 8 characters.", "TEXT", _text(8))]
Product = Annotated[str | None, _option("Product, up to 16 characters.", "TEXT", _text(16))]
Firmware = Annotated[str | None, _option("Firmware revision, up to 4 characters.", "TEXT", _text(4))]
Group = Annotated[str | None, _option('Group its new keys come from; "" for the default.', "NAME")]
Alias = Annotated[str | None, _option('Key it always gets when it writes; "" for one of the group.', "ALIAS")]
Allowed = Annotated[list[str] | None, _option("Group whose keys it may get; repeat for more.", "NAME")]
Confirm = Annotated[
    bool | None,
    typer.Option("--confirm/--no-confirm", help="Demand its key confirmation (no: only behind a bridge)."),
]
Label = Annotated[Literal["full", "t10"] | None, _option("How its keys are wrapped (t10: for a bridge).")]


def given(label: str | None, **fields: Any) -> dict[str, Any]:
    """Return the fields of a Drive message that options gave a value."""
    from qekm.v1 import drives_pb2 as pb

    mode = pb.LabelMode.Value(f"LABEL_MODE_{label.upper()}") if label else None
    return {name: value for name, value in {**fields, "label_mode": mode}.items() if value is not None}
