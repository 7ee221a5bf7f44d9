"""A report's numbers against what the test itself did, and what is asked of it that makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from qekm.api import reporting
from qekm.client import connect_async
from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.errors import BadArgument, DeniedError
from qekm.intervals import DAY_US
from qekm.model import AuditRecord, Outcome
from qekm.v1.audit_pb2 import OUTCOME_FAILURE, ListRecordsRequest
from qekm.v1.groups_pb2 import CreateGroupRequest, Group, OnExhaustion
from qekm.v1.keystore_pb2 import CompromiseKeysRequest
from qekm.v1.report_pb2 import GetReportRequest, GetReportResponse, Report
from qekm_gateway.simulator.errand import Refused
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import Running, collect

EVIL = "<script>alert(1)</script>"


def moment(time_us: int) -> Timestamp:
    made = Timestamp()
    made.FromMicroseconds(time_us)
    return made


async def answers(run: Running, **asked: Any) -> Sequence[GetReportResponse]:
    return await collect(run.client.report.GetReport(GetReportRequest(**asked)))


async def report(run: Running, **asked: Any) -> Report:
    return (await answers(run, **asked))[-1].report


async def test_a_report_counts_what_was_done_in_its_span_and_nothing_else(run: Running) -> None:
    site = await Site.of(run)
    one, two = site.drive(), site.drive("001300000777")
    async with run.gateway() as gateway:
        await play(gateway, early := site.asking(one))
        run.clock.ahead_us = 2 * DAY_US
        since = moment(run.clock() - DAY_US)
        await play(gateway, late := site.asking(one, volser=EVIL))
        await play(gateway, site.asking(two, volser="E01002L4"))
        read = site.key(late.outcome.key.alias).dki
        for _ in range(3):
            await play(gateway, site.asking(one, Ask.TRANSLATE, dki=read))
        with pytest.raises(Refused):
            await play(gateway, site.asking(two, Ask.TRANSLATE, dki=b"nobody's key"))
    async with connect_async(run.home.path, identity="gateway") as gateway_client:
        with pytest.raises(DeniedError):
            await gateway_client.audit.ListRecords(ListRecordsRequest())
    alias = site.key(early.outcome.key.alias).alias
    await run.client.keystore.CompromiseKeys(CompromiseKeysRequest(aliases=[alias], reason=EVIL))

    told = await report(run, since=since)

    assert [
        sum(getattr(each, name) for each in told.serving) for name in ("created", "read", "clear", "refused")
    ] == [*(2, 3, 0, 1)]
    assert told.interval == "hour"
    drives = {each.drive.serial: (each.created, each.read, each.refused) for each in told.drives}
    assert drives == {one.serial: (1, 3, 0), two.serial: (1, 0, 1)}
    assert told.drives[0].drive.serial == one.serial, "the one with the most exchanges is first"
    assert told.drive_count == 2
    failed = {each.event: each.count for each in told.events if each.outcome == OUTCOME_FAILURE}
    assert failed == {"drive.refuse": 1, "rpc.refuse": 1}
    assert {each.name: each.count for each in told.failing_actors} == {
        **{"gateway/gateway": 1},
        f"drive/{two.serial}": 1,
    }
    assert {each.name: each.count for each in told.failing_drives} == {two.serial: 1}
    assert [(each.event, each.message) for each in told.endings.records] == [
        ("rpc.CompromiseKeys", f"1 key: {alias}: {EVIL}")
    ]
    everything = await run.records()
    within = [
        each for each in everything if since.ToMicroseconds() <= each.time_us < told.until.ToMicroseconds()
    ]
    assert told.trail.record_count == len(within) == told.trail.last_sequence - told.trail.first_sequence + 1
    assert sum(each.count for each in told.events) == sum(each.count for each in within)
    assert told.trail.verdict.intact
    assert told.trail.checked == told.trail.last_sequence

    whole = await report(run, since=moment(1))
    assert sum(each.created for each in whole.serving) == 3, "the one before the span, too"
    assert {(each.cartridges, each.keys) for each in whole.cartridges.spread} == {(1, 3)}
    assert whole.cartridges.cartridge_count == 3
    states = {each.state: each.count for each in whole.keys.counts}
    assert states == {state: count for state, count in run.service.owners.keystore.counts().items() if count}
    assert sum(each.count for each in whole.keys.ages) == sum(each.count for each in whole.keys.months) == 64
    assert [each.group for each in whole.keys.groups] == ["default"]


async def test_the_making_of_a_report_is_recorded_before_it_is_told(run: Running) -> None:
    asked = {"since": moment(now_us() - DAY_US), "until": moment(now_us() + DAY_US)}
    told = await answers(run, **asked)
    assert [each.HasField("report") for each in told] == [False] * (len(told) - 1) + [True]
    made = told[-1].report
    assert made.until.ToMicroseconds() <= now_us(), "no report tells of the future"
    last = (await run.records())[-1]
    assert (last.event, last.outcome, last.actor) == ("rpc.GetReport", Outcome.SUCCESS, made.maker)
    assert last.message.startswith(f"{made.trail.record_count} records from ")
    assert last.message.endswith("; the trail is intact")
    assert made.server.name == "server"
    assert made.server.protect == "none"
    assert made.server.anchor == run.service.owners.estate.anchor
    assert list(made.degraded)
    assert [each.who for each in made.certificates]
    assert [each.days for each in made.certificates] == sorted(each.days for each in made.certificates)


async def test_a_span_without_records_is_empty_and_one_that_ends_before_it_begins_is_refused(
    run: Running,
) -> None:
    told = await report(run, since=moment(1), until=moment(30 * 365 * DAY_US))
    assert told.trail.record_count == told.trail.first_sequence == 0
    assert told.trail.verdict.intact
    assert not told.events
    assert not any(each.created for each in told.serving)
    assert len(told.serving) == 1
    for asked in (
        {"since": moment(now_us() + DAY_US)},
        {"since": moment(DAY_US), "until": moment(DAY_US)},
        {"since": Timestamp(seconds=-1)},
    ):
        with pytest.raises(BadArgument):
            await report(run, **asked)


async def test_thirty_years_are_told_year_by_year_though_a_clock_was_set_back(run: Running) -> None:
    old = now_us() - 30 * 365 * DAY_US
    await run.store.commit([AuditRecord(old, "key.create", Outcome.INTENT, "drive/1", "1")])
    told = await report(run, since=moment(old - 365 * DAY_US))
    assert told.interval == "year"
    assert 30 <= len(told.serving) <= 32
    assert told.serving[0].created == 1
    assert told.serving[0].start_time.ToMicroseconds() <= old


async def test_a_broken_trail_is_told_and_counted_all_the_same(run: Running) -> None:
    await run.store.commit(
        [AuditRecord(now_us(), "key.serve", Outcome.INTENT, "drive/1", "1") for _ in range(9)]
    )
    with run.store._engine.begin() as connection:  # whoever can write to the file
        connection.exec_driver_sql("UPDATE audit SET volser = 'CHANGED' WHERE sequence = 3")
    told = await report(run)
    assert not told.trail.verdict.intact
    assert told.trail.verdict.broken_at == 3
    assert sum(each.read for each in told.serving) == 9
    assert (await run.records())[-1].message.endswith("the trail is broken at record 3")


async def test_lists_are_cut_and_tell_how_much_was_left_out(run: Running) -> None:
    for number in range(reporting.MOST_GROUPS + 3):
        group = Group(name=f"group-{number}", on_exhaustion=OnExhaustion.ON_EXHAUSTION_REFUSE)
        await run.client.groups.CreateGroup(CreateGroupRequest(group=group))
        await run.store.commit(run.service.owners.keystore.generate(1, f"group-{number}"))
    failed = [
        AuditRecord(now_us(), "drive.refuse", Outcome.FAILURE, f"host 192.0.2.{n}", f"{n}", count=n + 1)
        for n in range(reporting.MOST_NAMES + 5)
    ]
    acts = [
        AuditRecord(now_us(), "rpc.ExportKeys", Outcome.SUCCESS, "administrator/anna", message=EVIL)
        for _ in range(reporting.MOST_ACTS + 7)
    ]
    many = [
        AuditRecord(now_us(), f"event.{n}", Outcome.SUCCESS, "server") for n in range(reporting.MOST_EVENTS)
    ]
    await run.store.commit([*failed, *acts, *many])
    told = await report(run)
    assert (len(told.keys.groups), told.keys.more_groups) == (reporting.MOST_GROUPS, 4)
    assert told.keys.groups[0].group == "default"
    assert told.keys.more_keys == 4
    assert [each.count for each in told.failing_actors] == list(range(30, 5, -1))
    assert told.more_failing_actors == told.more_failing_drives == 5
    assert (len(told.exports.records), told.exports.more) == (reporting.MOST_ACTS, 7)
    assert len(told.events) == reporting.MOST_EVENTS
    assert told.events[0].event == "drive.refuse"
    assert told.events[0].count == sum(range(1, 31))
    assert told.ByteSize() < 200_000
