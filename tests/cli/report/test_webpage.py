"""The report as HTML: what stands in it is text, nothing is loaded, and it says what the document says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from qekm_cli.report import webpage
from qekm_cli.report.document import document_of
from tests.cli.report.material import empty, evil, rich, told
from tests.cli.report.test_document import words

OURS = """
html head meta title style body header h1 p nav ol li a main section h2 dl dt dd figure figcaption svg desc
rect line text table caption thead tbody tr th td
"""
NAMED = """
lang charset http-equiv content name class href id aria-label aria-labelledby role viewbox x y width height
x1 y1 x2 y2 text-anchor scope
"""
ELEMENTS, ATTRIBUTES = set(OURS.split()), set(NAMED.split())


class Page(HTMLParser):
    """A page as a browser reads it: its elements, its attributes, its texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)


def test_there_is_no_element_and_no_attribute_but_ours_whatever_is_in_a_name() -> None:
    page = Page(webpage.render(document_of(told(rich()))))
    for tag, attributes in page.elements:
        assert tag in ELEMENTS, tag
        assert set(attributes) <= ATTRIBUTES, attributes
    assert {attributes["href"][:9] for _, attributes in page.elements if "href" in attributes} == {
        "#section-"
    }
    harmless = Page(webpage.render(document_of(told(rich(lambda number: f"name {number}")))))
    shape = [tag for tag, _ in page.elements if tag not in ("rect", "line", "text")]
    assert shape == [tag for tag, _ in harmless.elements if tag not in ("rect", "line", "text")]


def test_a_name_stands_in_it_as_it_is() -> None:
    texts = "".join(Page(webpage.render(document_of(told(rich())))).texts)
    for number in (0, 1, 3, 5, 7):
        assert evil(number) in texts
    assert evil(2) not in texts, "the one that turns the line round is escaped"


def test_everything_that_the_document_says_is_in_the_page() -> None:
    for report in (rich(), empty()):
        document = document_of(told(report))
        texts = set(Page(webpage.render(document)).texts)
        assert set(words(document).split("\n")) - texts <= {""}


def test_nothing_is_loaded_and_nothing_may_be() -> None:
    text = webpage.render(document_of(told(rich(lambda number: f"name {number}")))).decode()
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=", text)
    assert "default-src 'none'; style-src 'sha256-" in text


def test_every_plot_has_a_title_words_for_who_cannot_see_it_and_a_table_beside_it() -> None:
    page = Page(webpage.render(document_of(told(rich()))))
    tags = [tag for tag, _ in page.elements]
    ids = {attributes.get("id") for _, attributes in page.elements}
    plots = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(plots) == tags.count("figure") == tags.count("desc") == 7
    for attributes in plots:
        assert set(str(attributes["aria-labelledby"]).split()) <= ids
    for place, tag in enumerate(tags):
        if tag == "figure":
            assert (
                "table"
                in tags[place : tags.index("figure", place + 1) if "figure" in tags[place + 1 :] else None]
            )
