"""docs/exit-codes.md, made from the tables in the code: `python -m tests.exit_codes` writes it anew."""

from __future__ import annotations

from qekm.errors import EXIT_CODES
from qekm_cli.exits import MEANINGS
from tests.pages import ROOT

PAGE = ROOT / "docs" / "exit-codes.md"
HEAD = """\
# Exit codes

How `qekm` ends; `qekm-server` and `qekm-gateway` use the same numbers. Standard error says what is wrong
(`qekm: error: …`) and, where something can be done, what (`qekm: hint: …`); a bad verdict (5) is told on
standard output. The errors are leaves of `qekm.errors`, which a program that uses `qekm.client` catches; in
gRPC each is the `reason` of the status's `google.rpc.ErrorInfo`.

| code | meaning | errors |
|---|---|---|
"""
FOOT = """
`qekm-simulator` plays drives and has numbers of its own: 2 for a command line or file that cannot be used, 3
for a drive's check condition, whose sense it prints, 4 for a diagnosis that failed.

This page is made from `qekm/errors` and `cli/qekm_cli/exits.py`; a test compares them.
"""


def page() -> str:
    """Return the page."""
    errors = {
        code: ", ".join(f"`{leaf.reason()}`" for leaf in category.__subclasses__())
        for category, code in EXIT_CODES.items()
    }
    rows = (f"| {code} | {MEANINGS[code]} | {errors.get(code, 'none')} |\n" for code in sorted(MEANINGS))
    return HEAD + "".join(rows) + FOOT


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
