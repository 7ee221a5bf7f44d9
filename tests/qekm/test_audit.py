"""The audit trail's words, the counting of strangers, and the chain's check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qekm import audit
from qekm.audit import MAX_STRANGERS, MINUTE_US, Strangers, Subject, verify_trail
from qekm.errors import StoreDamaged
from qekm.model import AuditRecord, Outcome
from qekm.source import OTHERS
from qekm.store.chain import GENESIS, Link, head_message, link

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key()
SUBJECT = Subject("001300000392", bytes(8), "E01001L4")


def trail(count: int = 5, signed: tuple[int, ...] = (2, 5)) -> list[Link]:
    links, previous = [], GENESIS
    for number in range(1, count + 1):
        record = audit.key_installed(number, SUBJECT, f"alias{number}")
        previous = link(previous, number, record)
        signature = KEY.sign(head_message(number, previous)) if number in signed else None
        links.append(Link(number, record, previous, signature))
    return links


def test_an_untouched_trail_is_intact() -> None:
    links = trail()
    verdict = verify_trail(links, PUBLIC, 5)
    assert (verdict.intact, verdict.checked, verdict.broken_at, verdict.head) == (True, 5, 0, links[-1].hash)


def test_an_empty_trail_is_intact() -> None:
    assert verify_trail([], PUBLIC, 0).intact


@pytest.mark.parametrize("field", [field.name for field in fields(AuditRecord)])
def test_a_changed_field_breaks_the_trail_at_its_record(field: str) -> None:
    links = trail()
    old = getattr(links[2].record, field)
    new = Outcome.FAILURE if field == "outcome" else old + (b"x" if isinstance(old, bytes) else type(old)(1))
    links[2] = replace(links[2], record=replace(links[2].record, **cast("dict[str, Any]", {field: new})))
    assert verify_trail(links, PUBLIC, 5).broken_at == 3


def test_a_record_taken_out_doubled_or_swapped_breaks_the_trail() -> None:
    links = trail()
    assert verify_trail([*links[:2], *links[3:]], PUBLIC, 4).broken_at == 3
    assert verify_trail([*links[:3], *links[2:]], PUBLIC, 6).broken_at == 4
    assert verify_trail([links[0], links[2], links[1], *links[3:]], PUBLIC, 5).broken_at == 2
    assert verify_trail(links[1:], PUBLIC, 4).broken_at == 1


def test_a_trail_cut_at_its_end_is_found_by_signature_or_count() -> None:
    links = trail()
    assert verify_trail(links[:4], PUBLIC).broken_at == 4
    assert verify_trail(links[:2], PUBLIC).intact  # nothing but a count kept elsewhere can tell
    assert verify_trail(links[:2], PUBLIC, 5).broken_at == 3


def test_a_chain_computed_anew_does_not_have_the_signatures() -> None:
    links = trail(5, ())
    assert verify_trail(links, PUBLIC, 5).broken_at == 5
    forged = Ed25519PrivateKey.generate()
    links[4] = replace(links[4], signature=forged.sign(head_message(5, links[4].hash)))
    assert verify_trail(links, PUBLIC, 5).broken_at == 5


def test_a_row_that_cannot_be_read_breaks_the_trail_there() -> None:
    def rows() -> Iterator[Link]:
        yield from trail()[:2]
        raise StoreDamaged("this row cannot be")

    verdict = verify_trail(rows(), PUBLIC, 5)
    assert (verdict.broken_at, verdict.reason) == (3, "this row cannot be")


def test_a_long_check_tells_how_far_it_is() -> None:
    told: list[int] = []
    verify_trail(trail(2_500, (2_500,)), PUBLIC, 2_500, told.append)
    assert told == [1_000, 2_000]


def test_records_say_who_did_what_to_what() -> None:
    record = audit.key_given(7, SUBJECT, "alias", created=True)
    assert record == AuditRecord(
        7, "key.create", Outcome.INTENT, "drive/001300000392", "001300000392", bytes(8), "E01001L4", "alias"
    )
    assert audit.key_given(7, SUBJECT, "alias", created=False).event == "key.serve"
    assert audit.called(7, "DeleteDrive", "administrator/admin", subject=SUBJECT, message="block").event == (
        "rpc.DeleteDrive"
    )
    refused = audit.drive_refused(7, SUBJECT, "alias", "EE31", "no such key")
    assert (refused.outcome, refused.code, refused.message) == (Outcome.FAILURE, "EE31", "no such key")


def test_the_first_refusal_of_a_stranger_is_written_at_once_and_the_rest_counted() -> None:
    strangers = Strangers()
    (first,) = strangers.refuse(1, "10.0.0.1", "EE23", "junk", "x")
    assert (first.actor, first.code, first.count, first.drive_serial) == ("10.0.0.1", "EE23", 1, "x")
    assert [strangers.refuse(2, "10.0.0.1", "EE23", "junk") for _ in range(9)] == [[]] * 9
    assert strangers.flush(MINUTE_US - 1) == []
    (rest,) = strangers.flush(MINUTE_US)
    assert (rest.actor, rest.code, rest.count) == ("10.0.0.1", "EE23", 9)
    assert strangers.flush(2 * MINUTE_US) == []


def test_sources_and_codes_are_told_apart() -> None:
    strangers = Strangers()
    for source in ("10.0.0.1", "10.0.0.2"):
        for code in ("EE23", "EF01"):
            assert len(strangers.refuse(1, source, code, "")) == 1


def test_a_refusal_in_the_next_minute_brings_the_last_ones_rest_with_it() -> None:
    strangers = Strangers()
    for _ in range(3):
        strangers.refuse(1, "10.0.0.1", "EE23", "")
    assert [record.count for record in strangers.refuse(MINUTE_US, "10.0.0.1", "EE23", "")] == [2, 1]


def test_a_gateways_count_is_kept() -> None:
    strangers = Strangers()
    assert [record.count for record in strangers.refuse(1, "a", "EE23", "", count=500)] == [500]
    strangers.refuse(2, "a", "EE23", "", count=70)
    assert [record.count for record in strangers.drain()] == [70]


def test_many_sources_are_others() -> None:
    strangers = Strangers()
    written = [strangers.refuse(1, str(number), "EE23", "") for number in range(MAX_STRANGERS + 50)]
    assert sum(map(len, written)) == MAX_STRANGERS + 1
    assert written[MAX_STRANGERS][0].actor == OTHERS
    assert [(record.actor, record.count) for record in strangers.flush(MINUTE_US)] == [(OTHERS, 49)]


def test_a_million_refusals_of_one_source_are_few_records() -> None:
    strangers = Strangers()
    records = [
        record
        for time_us in range(0, 10 * MINUTE_US, 600)
        for record in strangers.refuse(time_us, "10.0.0.1", "EE23", "junk")
    ]
    assert len(records) == 19
    assert sum(record.count for record in records + strangers.drain()) == 1_000_000


def test_a_clock_that_goes_back_loses_no_count() -> None:
    strangers = Strangers()
    times = [5 * MINUTE_US, 5 * MINUTE_US + 1, MINUTE_US, MINUTE_US + 1]
    records = [record for time_us in times for record in strangers.refuse(time_us, "a", "EE23", "")]
    assert sum(record.count for record in records + strangers.drain()) == 4
