"""What a report says: definitions, numbers, and in words that there was nothing."""

from __future__ import annotations

import pytest

from qekm_cli.report import definitions
from qekm_cli.report.document import document_of
from qekm_cli.report.section import Document, Section
from tests.cli.report.material import EVIL, empty, rich, told
from tests.pages import ROOT

DEFINITIONS = [value for name, value in vars(definitions).items() if name.isupper()]


def section(document: Document, title: str) -> Section:
    return next(each for each in document.sections if each.title == title)


def words(document: Document) -> str:
    """Return all text of a document."""
    found = [document.title, *document.lines, document.verdict]
    for each in document.sections:
        found += [each.title, each.about, each.nothing, *(word for fact in each.facts for word in fact)]
        tables = [*each.tables, *(figure.table for figure in each.figures)]
        found += [cell for table in tables for row in table.rows for cell in row]
        found += [each for table in tables for each in (table.caption, table.more, *table.titles)]
    return "\n".join(found)


def test_every_section_says_what_is_counted_and_where_and_the_page_of_the_manual_says_the_same() -> None:
    manual = " ".join((ROOT / "docs" / "report.md").read_text().split())
    for each in document_of(told(rich())).sections:
        assert each.about in DEFINITIONS
        assert "Source: " in each.about
        assert each.about.endswith(".")
    for each in DEFINITIONS:
        assert each in manual


def test_a_report_of_nothing_says_so_in_words_in_every_section() -> None:
    document = document_of(told(empty()))
    for each in document.sections[2:]:
        assert each.nothing.endswith("."), each.title
        assert not each.figures
        assert not each.tables
    assert "intact: all 0 records" in document.verdict
    assert dict(section(document, "Audit trail").facts)["First and last of them"] == "there is none"


def test_a_full_report_says_nothing_of_the_kind() -> None:
    assert not [each.title for each in document_of(told(rich())).sections if each.nothing]


def test_a_broken_trail_is_the_first_thing_that_is_said() -> None:
    report = rich()
    report.trail.verdict.intact, report.trail.verdict.broken_at = False, 1_234
    report.trail.verdict.reason = EVIL[0]
    document = document_of(told(report))
    assert not document.intact
    assert document.verdict.startswith(f"THE AUDIT TRAIL IS BROKEN at record 1,234: {EVIL[0]}")
    assert dict(section(document, "Audit trail").facts)["Verdict"] == "broken at record 1,234"


def test_tables_and_facts_have_the_numbers_of_the_message() -> None:
    report = rich(groups=400)
    document = document_of(told(report))
    keys = section(document, "Keys")
    total = sum(each.count for each in report.keys.counts)
    assert dict(keys.facts)["Keys in all"] == f"{total:,}"
    groups = keys.figures[1]
    assert groups.plot.title == "Keys by group, the 20 largest of 400"
    assert len(groups.table.rows) == 100
    assert groups.table.more == f"and 300 more groups with {report.keys.more_keys:,} keys"
    in_table = sum(int(row[1].replace(",", "")) for row in groups.table.rows)
    assert in_table + report.keys.more_keys == total
    serving = section(document, "Serving over time")
    for place, name in enumerate(("created", "read", "clear", "refused")):
        wanted = sum(getattr(each, name) for each in report.serving)
        assert serving.facts[place][1] == f"{wanted:,}"
        rows = serving.figures[0].table.rows
        assert sum(int(row[place + 1].replace(",", "")) for row in rows) == wanted
    failed = dict(section(document, "Failed tries").facts)
    assert failed["Wrong command passwords"] == "77"
    assert failed["Failures in all"] == f"{sum(range(981, 1_001)) + 77:,}"
    assert dict(section(document, "Keys given out").facts)["Keys that left"] == "5,151"
    assert section(document, "Drives").tables[0].more == "and 4,313 more drives"


@pytest.mark.parametrize("intact", [True, False])
def test_nothing_that_came_from_elsewhere_steers_a_terminal_turns_a_line_round_or_is_endless(
    intact: bool,
) -> None:
    report = rich()
    report.trail.verdict.intact = intact
    text = words(document_of(told(report)))
    assert all(each.isprintable() for each in text.split("\n"))
    assert "\\u202e" in text
    assert max(map(len, text.split("\n"))) < 600
