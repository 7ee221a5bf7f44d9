"""docs/audit-log.md says what the log is."""

from __future__ import annotations

from hypothesis import given

from qekm.logs.events import EVENTS
from qekm.logs.record import Told, attributes, text_of
from qekm.model import AuditRecord, Outcome
from tests.audit_log_page import ATTRIBUTES, EXAMPLE, PAGE, page
from tests.qekm.logs.reading import records_of
from tests.qekm.logs.test_record import ANY_RECORD


def test_the_page_is_as_the_code_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.audit_log_page"


def test_every_event_is_on_it_and_the_example_is_a_record() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in EVENTS)
    block = text.partition("```text\n")[2].partition("```")[0]
    assert records_of(block.encode()) == [dict(attributes(EXAMPLE))]


@given(ANY_RECORD)
def test_every_attribute_of_any_record_is_on_it_in_its_order(record: AuditRecord) -> None:
    names = [name for name, _ in attributes(Told(3, record, "IBM"))]
    assert names == [name for name in ATTRIBUTES if name in names]


def test_every_attribute_on_it_is_one_of_some_record() -> None:
    seen: set[str] = set()
    for event in EVENTS:
        record = AuditRecord(1, event, Outcome.FAILURE, "x", "1", bytes(8), "v", "a", "EE31", "m", 2)
        seen |= {name for name, _ in attributes(Told(1, record))}
        assert text_of(Told(1, record))
    assert seen == set(ATTRIBUTES)
