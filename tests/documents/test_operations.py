"""docs/operations.md is typed from its first to its last command, as it stands."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.backup.target import Target
from tests.documents.blocks import BadPage, Block, read
from tests.documents.events import Events
from tests.documents.screen import differs
from tests.documents.stage import Stage
from tests.pages import ROOT

PAGE = ROOT / "docs" / "operations.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = read(TEXT)
MEMORY = Path("/dev/shm")  # for the homes, since backups must be on another file system


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Give machines on which nothing is yet."""
    if not MEMORY.is_dir() or not Target(tmp_path).is_elsewhere(MEMORY):
        pytest.skip("this machine has no two file systems, one for homes and one for backups")
    folder = Path(tempfile.mkdtemp(prefix="qekm-", dir=MEMORY))
    stage = Stage(folder, tmp_path)
    try:
        yield stage
    finally:
        stage.close()
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_is_typed_from_its_first_to_its_last_command(stage: Stage) -> None:
    Events(stage)
    for block in BLOCKS:
        if not block.run_by:
            stage.play(block)
    assert not stage.waiting, "somebody still waits"


def test_no_command_of_the_page_is_left_out(stage: Stage) -> None:
    Events(stage)
    typed = [line for line in TEXT.splitlines() if re.match(r"(qekm|qekm-server|make|sudo) ", line)]
    assert [line for line in typed if not any(line in block.text for block in BLOCKS)] == []
    assert len(BLOCKS) == len(re.findall("(?m)^```sh", TEXT)) > 40
    assert {event for block in BLOCKS for event in block.events} == set(stage.events)
    assert sum(1 for block in BLOCKS if block.shown) > 8


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.run_by], ids=lambda block: str(block.line))
def test_a_block_that_is_run_elsewhere_says_where(block: Block) -> None:
    """What runs it is there, and has its program in it."""
    runner = ROOT / block.run_by
    assert runner.name == "run" or runner.name.startswith("test_")
    said = runner.read_text(encoding="utf-8")
    for line in block.text.splitlines():
        missing = [word for word in line.removeprefix("sudo ").split()[:2] if word not in said]
        assert missing == [], f"{block.run_by} does not run: {line}"


@pytest.mark.parametrize(
    "block",
    [
        Block(1, "qekm config lst\n"),
        Block(1, "qekm --help\n", code=5),
        Block(1, "qekm --help\n", shown="Usage: qekm …\n"),
        Block(1, "qekm errors explain EE31 --json | grep EE32\n"),
        Block(1, "qekm backup restore NAME.qbk --shares\n"),
    ],
    ids=["a wrong command", "another code", "another output", "one of two", "what nobody has seen"],
)
def test_a_wrong_block_fails(stage: Stage, block: Block) -> None:
    with pytest.raises(AssertionError, match="line 1"):
        stage.play(block)


def test_a_right_block_does_not(stage: Stage) -> None:
    stage.play(Block(1, "qekm --help\nqekm errors explain EE31\n", shown="Usage: …\n…\nCode EE31\n…\n"))
    stage.play(Block(1, "qekm config lst\n", shown="qekm: error: …\n…\n", code=2))


@pytest.mark.parametrize(
    "page",
    [
        "    qekm login\n",
        "```\nqekm login\n```\n",
        "```bash\nqekm login\n```\n",
        "```sh\nqekm login\n",
        "<!-- ends with 6 -->\n\nnothing\n",
        "<!-- end with 6 -->\n```sh\nqekm login\n```\n",
    ],
)
def test_a_block_that_would_not_be_run_is_found(page: str) -> None:
    with pytest.raises(BadPage):
        read(page)


def test_a_page_is_read() -> None:
    page = (
        "# A\n\n<!-- by now: it rains -->\n<!-- ends with 5 -->\n"
        '```sh title="bob"\nqekm login\n```\n\n```text\n…\n```\n\nand\n\n```text\nno output\n```\n'
    )
    assert read(page) == [Block(6, "qekm login\n", "bob", "…\n", 5, ["it rains"])]


@pytest.mark.parametrize(
    ("shown", "screen", "wrong"),
    [
        ("a  b\n", "a b  \n\n", ""),
        ("a …\n", "a b\n", ""),
        ("…\nc\n", "a\nb\nc\n", ""),
        ("a\n…\n", "a\n", ""),
        ("a\nb\n", "a\r\nmaking [####------] 40% 4/10\rmaking [##########] 100% 10/10\nb\n", ""),
        ("a\n", "a\nb\n", "not shown: b"),
        ("a\nc\n", "a\nb\nc\n", "shown: c"),
        ("…\nb\n…\n", "a\nc\n", "shown: b"),
        ("a.\n", "ab\n", "shown: a."),
    ],
)
def test_a_screen_is_compared_with_what_is_shown(shown: str, screen: str, wrong: str) -> None:
    assert differs(shown, screen) == wrong
