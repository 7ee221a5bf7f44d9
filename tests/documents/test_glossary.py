"""docs/glossary.md: sorted, each word used elsewhere, each entry with a way on."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT, documents

PAGE = ROOT / "docs" / "glossary.md"
HEAD, *ENTRIES = re.split(r"\n\n(?=\*\*)", PAGE.read_text(encoding="utf-8"))
TERMS = [entry.split("**")[1] for entry in ENTRIES]


def test_its_words_are_sorted_and_there_once() -> None:
    assert sorted(set(TERMS), key=str.lower) == TERMS
    assert len(TERMS) > 40


@pytest.mark.parametrize("entry", ENTRIES, ids=TERMS)
def test_an_entry_says_what_a_word_means_and_where_it_matters(entry: str) -> None:
    _, _term, rest = entry.split("**", 2)
    assert re.match(r"( \([\w-]+\))?: \S", rest), "a colon, perhaps behind a short form"
    meaning = rest.split("[")[0]
    assert 1 <= len(re.findall(r"[.](?:\s|$)", meaning)) <= 3
    assert re.search(r"\[[^]]+\]\([^)]+\)$", entry.rstrip())
    other = set(re.findall(r"\*\*([^*]+)\*\*", rest))
    assert {word.lower() for word in other} <= {each.lower() for each in TERMS}


def test_every_word_is_used_on_another_page() -> None:
    code = (ROOT / "proto" / "qekm" / "v1").glob("*.proto")
    said = " ".join(page.read_text(encoding="utf-8") for page in (*documents(), *code) if page != PAGE)
    words = re.sub(r"[\s_]+", " ", said).lower()
    assert [term for term in TERMS if term.lower().rstrip("s") not in words] == []
