"""What the documents of the repository hold: code blocks, commands, links and headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_INLINE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"#{1,6} +(.*?)(?: +#+)?$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language (empty if indented or not named) and its text."""

    language: str
    text: str


def documents() -> list[Path]:
    """Return every page, those in docs/ included."""
    return [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]


def split(page: Path) -> tuple[list[Block], str]:
    """Return a page's blocks of code, and its prose without them."""
    blocks: list[Block] = []
    prose: list[str] = []
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    before = ""
    for line in lines:
        if line.startswith("```"):
            code = list(iter(lambda: next(lines), "```"))
            blocks.append(Block(line[3:].strip(), "\n".join(code) + "\n"))
            before = ""
            continue
        if line.startswith("    ") and not before.strip():
            blocks.append(Block("", line[4:] + "\n"))
        elif line.startswith("    ") and before.startswith("    "):
            blocks[-1] = Block("", blocks[-1].text + line[4:] + "\n")
        else:
            prose.append(line)
        before = line
    return blocks, "\n".join(prose)


def commands(page: Path, program: str) -> Iterator[str]:
    """Yield the command lines of a program in a page's blocks and in its prose, without what is a comment."""
    blocks, prose = split(page)
    typed = [block for block in blocks if block.language.split(" ")[0] in ("", "sh")]
    lines = [line for block in typed for line in joined(block.text)]
    spans = [" ".join(found[2].split()) for found in _INLINE.finditer(prose)]
    for text in (*lines, *spans):
        command = text.partition(" #")[0].strip()
        if command.split(" ")[0] == program and command != program:
            yield command


def joined(text: str) -> list[str]:
    """Return the lines of a block, those that end in a backslash joined with the next."""
    return text.replace("\\\n", " ").splitlines()


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links that are not of another site."""
    prose = _INLINE.sub("", split(page)[1])
    return (target for target in _LINK.findall(prose) if "://" not in target)


def anchors(page: Path) -> set[str]:
    """Return the names under which a page's headings can be linked to, as code hosts make them."""
    names: set[str] = set()
    seen: Counter[str] = Counter()
    for line in split(page)[1].splitlines():
        if found := _HEADING.match(line):
            text = re.sub(r"[^\w\- ]", "", found[1].lower()).replace(" ", "-")
            names.add(f"{text}-{seen[text]}" if seen[text] else text)
            seen[text] += 1
    return names
