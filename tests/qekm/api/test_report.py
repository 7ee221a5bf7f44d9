"""What the service says of its work since its start."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Ask
from qekm.model import AuditRecord, Outcome, Role
from qekm.v1.audit_pb2 import OUTCOME_FAILURE, OUTCOME_INTENT
from qekm.v1.report_pb2 import GetActivityRequest, GetActivityResponse
from qekm_gateway.simulator.errand import Refused
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.people import have, person
from tests.qekm.api.running import Running


async def ask(run: Running) -> GetActivityResponse:
    """Return what the service says now."""
    return await run.client.report.GetActivity(GetActivityRequest())


async def test_what_drives_were_given_and_refused_is_counted_and_how_long_they_waited(run: Running) -> None:
    site = await Site.of(run)
    before = await ask(run)
    assert not before.answer_seconds.sum
    async with run.gateway() as gateway:
        await play(gateway, site.asking(site.drive()))
        with pytest.raises(Refused):
            await play(gateway, site.asking(site.drive(), Ask.TRANSLATE, dki=b"nobody's key"))
        at_work = await ask(run)
    counts = {(each.event, each.outcome): each.count for each in at_work.events}
    assert counts["key.create", OUTCOME_INTENT] == 1
    refused = [each for each in at_work.events if each.event == "drive.refuse"]
    assert [(each.outcome, each.count) for each in refused] == [(OUTCOME_FAILURE, 1)]
    assert at_work.failures[0].event == "drive.refuse"
    assert at_work.failures[0].code == refused[0].code
    assert sum(at_work.answer_seconds.counts) >= 4
    assert len(at_work.answer_seconds.counts) == len(at_work.answer_seconds.bounds) + 1
    assert sum(at_work.commit_units.counts) == sum(at_work.commit_seconds.counts) > 0
    assert at_work.store_bytes > 100_000
    assert at_work.time.ToMicroseconds() > at_work.start_time.ToMicroseconds()


async def test_an_operator_is_not_told_who_did_what(run: Running) -> None:
    await have(run.client, run, Role.OPERATOR, "olaf")
    failed = AuditRecord(1, "rpc.Login", Outcome.FAILURE, "operator/eve", message="no")
    run.service.activity.committed(1, [failed])
    (told,) = [each for each in (await ask(run)).failures if each.event == "rpc.Login"]
    assert (told.actor, told.message) == ("operator/eve", "no")
    async with person(run, "olaf") as olaf:
        seen = await olaf.report.GetActivity(GetActivityRequest())
    (told,) = [each for each in seen.failures if each.event == "rpc.Login"]
    assert (told.actor, told.message) == ("", "")
