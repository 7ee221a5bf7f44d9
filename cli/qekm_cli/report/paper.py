"""A report as a PDF: the document's text and tables, its plots as vectors, letters embedded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from html import escape
from io import BytesIO
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from qekm_cli.report.plot import WIDTH, Box, Label, Plot, Rule
from qekm_cli.report.section import Document, Section, Table

_PLAIN, _BOLD = "Vera", "VeraBd"  # reportlab brings them
_INK = {
    "bar": "#0072b2",
    "text": "#000000",
    "faint": "#444444",
    "grid": "#cccccc",
    "axis": "#666666",
    "bad": "#a8320a",
    "good": "#00664b",
}
_MARGIN = 16 * mm
_ROOM = 30 * mm  # with less of it left a table begins on the next page
_BROAD = A4[0] - 2 * _MARGIN
_SMALL = 7.0  # points, in tables
_PADDING = 7.0  # of a cell, left and right of it together
_MOST = 240.0  # points that a column gets at most


def render(document: Document) -> bytes:
    """Return the file. All that stands in the document is text in it; a letter no font has, its number."""
    for font in (_PLAIN, _BOLD):
        pdfmetrics.registerFont(TTFont(font, f"{font}.ttf"))
    file = BytesIO()
    pages = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 4 * mm,
        title=shown(document.title),
        subject=shown(document.lines[0]),
        creator="Q-EKM",
        lang="en",
        initialFontName=_PLAIN,  # else the file names one that is not in it
    )
    foot = partial(_foot, shown(document.title))
    story = [*_begin(document), *_sections(document)]
    pages.build(story, foot, foot)
    return file.getvalue()


def shown(text: str) -> str:
    """Return a text with the number of each letter that the font does not have in its place."""
    letters: Any = pdfmetrics.getFont(_PLAIN).face.charToGlyph
    if all(ord(each) in letters for each in text):
        return text
    return "".join(each if ord(each) in letters else each.encode("unicode_escape").decode() for each in text)


def _style(size: float, ink: str = "text", font: str = _PLAIN, **more: Any) -> ParagraphStyle:
    return ParagraphStyle("", fontName=font, fontSize=size, leading=size * 1.35, textColor=_INK[ink], **more)


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(shown(text), quote=False), style)


def _begin(document: Document) -> Iterator[Flowable]:
    yield _text(document.title, _style(16, font=_BOLD, spaceAfter=6))
    for line in document.lines:
        yield _text(line, _style(9, spaceAfter=3))
    ink = "good" if document.intact else "bad"
    yield _text(document.verdict, _style(10, ink, _BOLD, spaceBefore=4, spaceAfter=4))


def _sections(document: Document) -> Iterator[Flowable]:
    for section in document.sections:
        title = _text(section.title, _style(12, font=_BOLD, spaceBefore=14, spaceAfter=3))
        about = _text(section.about, _style(8, "faint", spaceAfter=4))
        yield KeepTogether([title, about, *_facts(section)])
        if section.nothing:
            yield _text(section.nothing, _style(9, spaceAfter=4))
        for figure in section.figures:
            yield KeepTogether([_caption(figure.plot.title), Picture(figure.plot)])
            yield from _table(figure.table)
        for table in section.tables:
            yield from _table(table)


def _caption(text: str) -> Paragraph:
    return _text(text, _style(8.5, font=_BOLD, spaceBefore=6, spaceAfter=2))


def _facts(section: Section) -> Iterator[Flowable]:
    if section.facts:
        rows = [[_text(name, _style(8, "faint")), _text(value, _style(8))] for name, value in section.facts]
        yield Grid(rows, [_BROAD * 0.4, _BROAD * 0.6], hAlign="LEFT", style=_lines(grid=False))


def _table(table: Table) -> Iterator[Flowable]:
    """Yield a table with its caption, the titles again on every page, and what was left out."""
    head, right = _style(_SMALL, "faint", _BOLD), _style(_SMALL, "faint", _BOLD, alignment=2)
    widths = _widths(table)
    rows = [[_text(title, right if n in table.numbers else head) for n, title in enumerate(table.titles)]]
    rows += [list(map(_cell, row, widths)) for row in table.rows]
    style = _lines(grid=True)
    style += [("ALIGN", (place, 0), (place, -1), "RIGHT") for place in table.numbers]
    yield CondPageBreak(_ROOM)
    yield _caption(table.caption)
    yield Grid(rows, widths, repeatRows=1, hAlign="LEFT", style=style)
    if table.more:
        yield _text(table.more, _style(_SMALL, "faint"))
    yield Spacer(1, 4)


def _cell(text: str, width: float) -> str | Paragraph:
    """Return what fits on one line as it is, for making a paragraph of it takes long; the rest is broken."""
    line = shown(text)
    if _wide(line, _PLAIN) <= width:
        return line
    return _text(text, _style(_SMALL))


def _widths(table: Table) -> list[float]:
    """Return the widths of columns: as their longest cells want, but the widest are cut until all fit."""
    wanted = [_wide(title, _BOLD) for title in table.titles]
    for row in table.rows:
        wanted = [max(wide, _wide(shown(cell), _PLAIN)) for wide, cell in zip(wanted, row, strict=True)]
    most = _MOST
    while sum(min(wide, most) for wide in wanted) > _BROAD:
        most -= 4
    return [min(wide, most) for wide in wanted]


def _wide(line: str, font: str) -> float:
    return float(pdfmetrics.stringWidth(line, font, _SMALL)) + _PADDING


def _lines(*, grid: bool) -> list[tuple[Any, ...]]:
    every = (0, 0), (-1, -1)
    padding = [(f"{side}PADDING", *every, 1.5) for side in ("TOP", "BOTTOM")]
    line = [("LINEBELOW", *every, 0.3, colors.HexColor(_INK["grid"]))] if grid else []
    return [
        ("FONT", *every, _PLAIN, _SMALL, _SMALL * 1.35),
        ("VALIGN", *every, "TOP"),
        ("LEFTPADDING", *every, 2),
        ("RIGHTPADDING", *every, 4),
        *padding,
        *line,
    ]


def _foot(title: str, canvas: Any, pages: Any) -> None:
    """Draw title and number of the page under it."""
    canvas.setFont(_PLAIN, 7)
    canvas.setFillColor(colors.HexColor(_INK["faint"]))
    canvas.drawString(_MARGIN, 10 * mm, title)
    canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"page {pages.page}")


class Picture(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A plot on paper, as broad as the text."""

    def __init__(self, plot: Plot) -> None:
        super().__init__()
        self.plot = plot

    def wrap(self, *_room: float) -> tuple[float, float]:
        """Return its size in points."""
        return _BROAD, self.plot.height * _BROAD / WIDTH

    def draw(self) -> None:
        """Draw the shapes; on paper y goes upwards."""
        canvas: Any = self.canv
        scale = _BROAD / WIDTH
        canvas.scale(scale, scale)
        for shape in self.plot.shapes:
            ink = colors.HexColor(_INK[shape.role])
            canvas.setFillColor(ink)
            canvas.setStrokeColor(ink)
            self._put(canvas, shape)

    def _put(self, canvas: Any, shape: Box | Rule | Label) -> None:
        high = self.plot.height
        match shape:
            case Box(x, y, width, height):
                canvas.rect(x, high - y - height, width, height, stroke=0, fill=1)
            case Rule(x1, y1, x2, y2):
                canvas.setLineWidth(0.8)
                canvas.line(x1, high - y1, x2, high - y2)
            case Label(x, y, text, anchor):
                canvas.setFont(_PLAIN, 10)
                draw = {"start": "drawString", "middle": "drawCentredString", "end": "drawRightString"}
                getattr(canvas, draw[anchor])(x, high - y, shown(text))
