"""docs/errors.md, made from the tables in the code: `python -m tests.errors_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator

from qekm.explanations import EXPLANATIONS, REASONS, Explanation
from tests.pages import ROOT

PAGE = ROOT / "docs" / "errors.md"
HEAD = """\
# Errors

What the codes of drives, libraries and the audit trail mean, and what to do: `qekm errors explain EE31`
tells the same on any machine, without a service. A code is the additional sense code and its qualifier in
hex, as SCSI has them; a library may print the sense key before it (05EE31). The numbers are those of the
original and of its family; drives and key managers do not always mean the same by one.

How a program of ours ends is on the page of [exit codes](exit-codes.md); when a drive is refused, in section
10 of [the protocol](protocol.md).

## What drives are refused with

The titles of the original's twelve codes are its own, so that what looks for them in an audit log finds them.
"""
REQUESTS = """
## What drives ask for

No errors: the sense data that begins a session.

| code | sense key | title | to a drive | here | what to do |
|---|---|---|---|---|---|
"""
CONDITIONS = """
## What only drives and libraries tell

| code | sense key | title | to a drive | what to do |
|---|---|---|---|---|
"""
OURS = """
## Errors of this product

As programs see them: the reason of `google.rpc.ErrorInfo`, and the leaves of `qekm.errors`. Whatever has no
code of its own is EE0F to a drive, without a word.

| error | meaning | exit code | hint | to a drive |
|---|---|---|---|---|
"""
FOOT = """
This page is made from `qekm/explanations` and `qekm/errors`; a test compares them.
"""


def page() -> str:
    """Return the page."""
    rows = EXPLANATIONS.values()
    parts = [HEAD, *(_section(row) for row in rows if row.kind == "refusal")]
    parts += [REQUESTS, *(_request(row) for row in rows if row.kind == "request")]
    parts += [CONDITIONS, *(_condition(row) for row in rows if row.kind == "condition")]
    parts += [OURS, *_ours(), FOOT]
    return "".join(parts)


def _section(row: Explanation) -> str:
    errors = ", ".join(f"`{reason}`" for reason in row.errors)
    lines = [
        f"\n### {row.code}\n",
        f"**{row.title}**\n",
        f"* Sense key: {_keys(row)}",
        f"* A drive means by it: {row.drive}",
        f"* Here: {row.here}",
        *([f"* Errors of ours that become it: {errors}"] if errors else []),
        "",
        *(f"{number}. {action}" for number, action in enumerate(row.actions, 1)),
    ]
    return "\n".join(lines) + "\n"


def _request(row: Explanation) -> str:
    return _line(row.code, _keys(row), row.title, row.drive, row.here, " ".join(row.actions))


def _condition(row: Explanation) -> str:
    return _line(row.code, _keys(row), row.title, row.drive, " ".join(filter(None, (row.here, *row.actions))))


def _ours() -> Iterator[str]:
    for reason in REASONS.values():
        yield _line(f"`{reason.reason}`", reason.meaning, str(reason.exit_code), reason.hint, reason.code)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _keys(row: Explanation) -> str:
    return ", ".join(f"{key:02X}" for key in row.sense_keys)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
