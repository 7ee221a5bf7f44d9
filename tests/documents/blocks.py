"""The command blocks of a page: what is typed, where, what is shown, and how it ends.

A fence of `sh` holds commands. Its title names the machine or the person who types; without one it is the
first server's. A fence of `text` right behind it shows what comes on the screen, with … for what varies.
Comments before a fence, which no reader sees, say what else a test must know:

    <!-- ends with 6 -->                        the exit code, if not 0
    <!-- by now: both servers are lost -->      what happened meanwhile, an event of the test's
    <!-- run by tests/packages/test_x.py -->    it cannot be run here, and that test does
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

FIRST = "ekm1"
_FENCE = re.compile(r'```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?$')
_COMMENT = re.compile(r"<!-- (?P<sign>ends with|by now:|run by) (?P<rest>.+?) -->$")


@dataclass(slots=True)
class Block:
    """One fence of commands."""

    line: int  # of the page, the first of the commands
    text: str
    place: str = FIRST
    shown: str | None = None
    code: int = 0
    events: list[str] = field(default_factory=list)
    run_by: str = ""


class BadPage(Exception):
    """A page has something that a test of it cannot take; the text says where."""


def read(page: str) -> list[Block]:
    """Return the command blocks of a page in their order; BadPage."""
    blocks: list[Block] = []
    signs: list[tuple[str, str]] = []
    is_next = False  # whether nothing but empty lines came since the last block
    lines = iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        if line.startswith("```"):
            fence = _FENCE.match(line)
            if fence is None or fence["language"] not in ("sh", "text", "ini"):
                raise BadPage(f"line {number}: {line}")
            text = _inside(lines)
            if fence["language"] == "sh":
                blocks.append(_block(number + 1, text, fence["title"] or FIRST, signs))
            elif fence["language"] == "text" and is_next:
                blocks[-1].shown = text
            is_next, signs = fence["language"] == "sh", []
        elif found := _COMMENT.match(line):
            signs.append((found["sign"], found["rest"]))
        elif line.startswith("    ") or line.startswith("<!--"):
            raise BadPage(f"line {number} is a block that nothing runs: {line.strip()}")
        elif line.strip():
            if signs:
                raise BadPage(f"line {number}: there is no block behind {signs}")
            is_next = False
    return blocks


def _inside(lines: Iterable[tuple[int, str]]) -> str:
    found: list[str] = []
    for _, line in lines:
        if line == "```":
            return "\n".join(found) + "\n"
        found.append(line)
    raise BadPage("a fence has no end")


def _block(line: int, text: str, place: str, signs: list[tuple[str, str]]) -> Block:
    block = Block(line, text, place)
    for sign, rest in signs:
        if sign == "ends with":
            block.code = int(rest)
        elif sign == "run by":
            block.run_by = rest
        else:
            block.events.append(rest)
    return block
