"""AuditService over the wire."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from qekm.audit import occurred
from qekm.errors import BadArgument, BadPageToken
from qekm.model import AuditRecord, Outcome
from qekm.v1 import audit_pb2 as pb
from tests.qekm.api.running import Running, collect


async def fill(run: Running, count: int = 10) -> None:
    """Write some refusals of one drive."""
    for number in range(count):
        record = AuditRecord(
            1_000_000 * number, "drive.refuse", Outcome.FAILURE, "drive/x", "001300000392", code="EE31"
        )
        await run.store.commit([record])


async def test_records_are_listed_in_order_and_newest_first_a_page_at_a_time(run: Running) -> None:
    await fill(run)
    for newest_first in (False, True):
        seen: list[int] = []
        request = pb.ListRecordsRequest(page_size=4, newest_first=newest_first)
        while True:
            page = await run.client.audit.ListRecords(request)
            seen += [record.sequence for record in page.records]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert sorted(seen, reverse=newest_first) == seen == [*dict.fromkeys(seen)]
        assert min(seen) == 1
        assert len(seen) == max(seen)


async def test_records_are_found_by_drive_volser_time_and_outcome(run: Running) -> None:
    await fill(run, 3)
    await run.store.commit([AuditRecord(5, "key.create", Outcome.INTENT, "drive/y", "y", volser="E01001L4")])

    async def found(**filters: object) -> list[str]:
        page = await run.client.audit.ListRecords(pb.ListRecordsRequest(**filters))  # type: ignore[arg-type]
        return [record.event for record in page.records]

    assert await found(drive_serial="1300000392") == ["drive.refuse"] * 3
    assert await found(volser="E01001L4") == ["key.create"]
    assert await found(failed=True) == ["drive.refuse"] * 3
    assert "drive.refuse" not in await found(since=Timestamp(seconds=1_000_000))
    assert "server.init" in await found(since=Timestamp(seconds=1_000_000))


async def test_a_record_is_told_with_every_field(run: Running) -> None:
    record = AuditRecord(
        1_700_000_000_000_001, "e", Outcome.FAILURE, "a", "s", bytes(8), "v", "al", "EE31", "m", 7
    )
    await run.store.commit([record])
    request = pb.ListRecordsRequest(newest_first=True, page_size=1)
    (told,) = (await run.client.audit.ListRecords(request)).records
    assert told.time.ToMicroseconds() == record.time_us
    assert (told.event, told.outcome, told.actor, told.drive_serial) == ("e", pb.OUTCOME_FAILURE, "a", "s")
    assert (told.drive_wwnn, told.volser, told.alias, told.code) == (bytes(8), "v", "al", "EE31")
    assert (told.message, told.count) == ("m", 7)


async def test_a_bad_time_or_token_is_refused(run: Running) -> None:
    with pytest.raises(BadArgument, match="since"):
        await run.client.audit.ListRecords(pb.ListRecordsRequest(since=Timestamp(seconds=-5)))
    with pytest.raises(BadPageToken):
        await run.client.audit.ListRecords(pb.ListRecordsRequest(page_token="rubbish"))


async def test_a_whole_trail_is_intact_and_the_check_tells_how_far_it_is(run: Running) -> None:
    await run.store.submit([[occurred(n, "event", "test")] for n in range(2_500)])
    answers = await collect(run.client.audit.VerifyTrail(pb.VerifyTrailRequest()))
    total = run.store.audit_count()
    assert [answer.checked for answer in answers] == [1_000, 2_000, total]
    assert {answer.total for answer in answers} == {total}
    verdict = answers[-1].verdict
    assert (verdict.intact, verdict.broken_at, verdict.reason) == (True, 0, "")
    assert verdict.head == run.store.audit_head().hash
    key = run.service.owners.estate.audit_key.public_key()
    assert verdict.public_key == key.public_bytes_raw()


@pytest.mark.parametrize(
    ("damage", "broken_at"),
    [
        ("UPDATE audit SET message = 'nothing happened' WHERE sequence = 3", 3),
        ("UPDATE audit SET actor = 5 WHERE sequence = 3", 3),
        ("DELETE FROM audit WHERE sequence = 3", 3),
        ("UPDATE audit SET signature = zeroblob(64) WHERE sequence = 3", 3),
    ],
)
async def test_a_changed_trail_is_broken_where_it_was_changed(
    run: Running, damage: str, broken_at: int
) -> None:
    await fill(run)
    with sqlite3.connect(run.home.store) as connection:
        connection.execute(damage)
    connection.close()
    (last,) = (await collect(run.client.audit.VerifyTrail(pb.VerifyTrailRequest())))[-1:]
    assert (last.verdict.intact, last.verdict.broken_at) == (False, broken_at)
    assert last.verdict.reason


async def test_the_service_answers_others_while_a_trail_is_checked(run: Running) -> None:
    await run.store.submit([[occurred(n, "event", "test")] for n in range(5_000)])
    check = asyncio.ensure_future(collect(run.client.audit.VerifyTrail(pb.VerifyTrailRequest())))
    count = 0
    while not check.done():
        await run.client.audit.ListRecords(pb.ListRecordsRequest(page_size=1))
        count += 1
    assert (await check)[-1].verdict.intact
    assert count >= 3
