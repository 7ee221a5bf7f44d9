"""A record of the trail in the product family's format."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.logs.events import EVENTS
from qekm.logs.record import BEGIN, END, Told, text_of
from qekm.model import AuditRecord, Outcome
from tests.qekm.logs.reading import records_of
from tests.qekm.logs.test_escaping import ANY_TEXT

SERVED = AuditRecord(
    1_769_860_800_000_007,
    "key.serve",
    Outcome.INTENT,
    "drive/001300000392",
    "001300000392",
    bytes.fromhex("500308C0C0FFEE00"),
    "E01001L4",
    "QKM0032584189D0000000",
)
ANY_RECORD = st.builds(
    AuditRecord,
    time_us=st.integers(-(2**62), 2**62),
    event=st.one_of(st.sampled_from(sorted(EVENTS)), ANY_TEXT),
    outcome=st.sampled_from(Outcome),
    actor=ANY_TEXT,
    drive_serial=ANY_TEXT,
    drive_wwnn=st.binary(max_size=8),
    volser=ANY_TEXT,
    alias=ANY_TEXT,
    code=st.one_of(st.just("EE31"), ANY_TEXT),
    message=ANY_TEXT,
    count=st.integers(1, 2**32 - 1),
)


def test_a_key_that_was_served_is_told_with_its_drive_cartridge_and_place() -> None:
    assert text_of(Told(17, SERVED, "IBM")).decode() == (
        "AuditRecordType:[\n"
        "  timestamp=2026-01-31T12:00:00.000007Z\n"
        "  event source=qekm-server/key\n"
        "  outcome=[result=intended]\n"
        "  event type=SECURITY_RUNTIME\n"
        "  action=key.serve\n"
        "  resource=key QKM0032584189D0000000\n"
        "  user=drive/001300000392\n"
        "  drive vendor=IBM\n"
        "  drive serial number=001300000392\n"
        "  drive WWN=500308C0C0FFEE00\n"
        "  volser=E01001L4\n"
        "  key alias=QKM0032584189D0000000\n"
        "  sequence=17\n"
        "  ]\n"
    )


def test_a_refusal_has_number_and_text() -> None:
    record = AuditRecord(0, "drive.refuse", Outcome.FAILURE, "host 192.0.2.7", "X", code="EE31", count=12)
    (told,) = records_of(text_of(Told(1, record)))
    assert (told["outcome"], told["error"], told["count"]) == ("[result=unsuccessful]", "EE31", "12")
    assert "keystore" in told["error text"]


def test_a_reason_of_ours_is_told_as_it_is_and_needs_no_text() -> None:
    record = AuditRecord(0, "rpc.refuse", Outcome.FAILURE, "host 192.0.2.7", code="NOT_ALLOWED", message="no")
    (told,) = records_of(text_of(Told(1, record)))
    assert (told["error"], told["message"], "error text" in told) == ("NOT_ALLOWED", "no", False)
    assert (told["authentication type"], told["users"], "user" in told) == (
        "certificate",
        "host 192.0.2.7",
        False,
    )


def test_who_changed_a_property_is_a_configuration_record() -> None:
    record = AuditRecord(0, "rpc.UpdateProperties", Outcome.SUCCESS, "administrator/anna")
    (told,) = records_of(text_of(Told(1, record)))
    assert (told["event type"], told["command type"]) == ("SECURITY_MGMT_CONFIG", "UpdateProperties")
    assert (told["action"], told["user"]) == ("rpc.UpdateProperties", "administrator/anna")


@given(st.lists(ANY_RECORD, min_size=1, max_size=3))
def test_whatever_is_in_its_fields_a_record_reads_back_and_forges_nothing(records: list[AuditRecord]) -> None:
    content = b"".join(text_of(Told(place, record, "V\n  ]")) for place, record in enumerate(records, 1))
    assert content.count(BEGIN + b"\n") >= len(records)
    found = records_of(content)
    assert len(found) == len(records)
    for place, (told, record) in enumerate(zip(found, records, strict=True), 1):
        assert told["sequence"] == str(place)
        assert told["action"] == record.event
        assert told.get("message", "") == record.message
        assert told.get("user", told.get("users")) == record.actor
        assert told.get("error", "") == record.code
        assert told.get("drive serial number", "") == record.drive_serial
        assert told.get("key alias", "") == record.alias
        if record.drive_serial:
            assert told["volser"] == record.volser
            assert bytes.fromhex(told["drive WWN"]) == record.drive_wwnn
            assert told["drive vendor"] == "V\n  ]"


@given(ANY_RECORD)
def test_a_record_ends_where_the_log_looks_for_its_end_and_nowhere_before(record: AuditRecord) -> None:
    text = text_of(Told(1, record))
    assert text.startswith(BEGIN)
    assert text.find(END) == len(text) - len(END)
    assert len(re.findall(rb"^AuditRecordType:\[$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    "serial", ["1\n  ]\nAuditRecordType:[\n  timestamp=x", "2\r  sequence=9", "3\u2028]"]
)
def test_a_stranger_who_calls_himself_a_record_forges_none(serial: str) -> None:
    record = AuditRecord(0, "drive.refuse", Outcome.FAILURE, "host 192.0.2.7", serial)
    (told,) = records_of(text_of(Told(1, record)))
    assert (told["drive serial number"], told["sequence"]) == (serial, "1")
