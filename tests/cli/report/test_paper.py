"""The report as a PDF, read by programs of others: the document's words, letters that are in the file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm_cli.report import paper
from qekm_cli.report.document import document_of
from qekm_cli.report.section import Document
from tests.cli.report.material import empty, rich, told
from tests.cli.report.test_document import words

pytestmark = pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext (poppler-utils)")


def poppler(program: str, *words_: str | Path) -> str:
    return subprocess.run([program, *map(str, words_)], capture_output=True, text=True, check=True).stdout


def squeezed(text: str) -> str:
    """Return a text without its spaces: lines are broken anew on paper."""
    return "".join(text.split())


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Document, Path]]:
    """Give a document with everything in it, and its file."""
    document = document_of(told(rich()))
    file = tmp_path_factory.mktemp("paper") / "report.pdf"
    file.write_bytes(paper.render(document))
    yield document, file


def test_everything_that_the_document_says_is_on_paper(printed: tuple[Document, Path]) -> None:
    document, file = printed
    text = squeezed(poppler("pdftotext", "-raw", file, "-"))
    wanted = {squeezed(paper.shown(each)) for each in words(document).split("\n")}
    broken = {each for each in wanted if each not in text}  # over two pages, the foot of one between them
    assert len(broken) <= 3, broken


def test_it_is_a_file_of_its_own_with_a_title_and_letters_in_it(printed: tuple[Document, Path]) -> None:
    document, file = printed
    told_ = poppler("pdfinfo", file)
    assert f"Title:           {paper.shown(document.title)[:20]}" in told_
    assert "JavaScript:      no" in told_
    assert "A4" in told_
    fonts = poppler("pdffonts", file).splitlines()[2:]
    assert fonts
    for line in fonts:
        assert "Vera" in line, "no font that is not in the file"
        assert line.split()[-5] == "yes", line
    assert b"/URI" not in file.read_bytes()


def test_a_report_of_nothing_is_a_file_too(tmp_path: Path) -> None:
    document = document_of(told(empty()))
    (tmp_path / "report.pdf").write_bytes(paper.render(document))
    text = squeezed(poppler("pdftotext", "-raw", tmp_path / "report.pdf", "-"))
    for each in words(document).split("\n"):
        assert squeezed(each) in text
