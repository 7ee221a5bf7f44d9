"""Alarms of a whole service: to real receivers, whatever those do, and never in the way of serving."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from qekm.alarming import EVERY_US, GATHER_US, LOOK_US, PATIENCE_S, PLACE
from qekm.alarms.mail import Mail
from qekm.audit import SERVICE, Subject, key_suspected, occurred
from qekm.model import Outcome
from qekm.rpc.tls import Files
from qekm.v1 import alarms_pb2 as pb
from tests.fakes.pki import DAY_US, Pki
from tests.ports import free_port
from tests.qekm.alarms.receivers import HOST, Mails, Posts, mail_server, web_server
from tests.qekm.api.running import Running, running
from tests.waiting import until


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Give a mail server's certificate and who issued it."""
    return Pki(tmp_path_factory.mktemp("pki") / "home")


def properties(mails: Mails, files: Files, folder: Path) -> dict[str, str]:
    """Return those of a service that tells `mails`."""
    secret = folder / "password"
    secret.write_bytes(b"right\n")
    secret.chmod(0o600)
    return {
        "alarms__mail__server": f"{HOST}:{mails.port}",
        "alarms__mail__trust": str(files.trust),
        "alarms__mail__user": "qekm",
        "alarms__mail__passwordFile": str(secret),
        "alarms__mail__from": "qekm@example.org",
        "alarms__mail__to": "ops@example.org",
    }


async def suspect(run: Running, *aliases: str) -> None:
    """Record that nobody knows of keys."""
    subject = Subject("001300000392", b"", "E01001L4")
    await run.store.commit([key_suspected(run.clock(), subject, alias, "gone") for alias in aliases])


def texts(mails: Mails) -> str:
    """Return the texts of all mails."""
    return "\n".join(each.get_content() for each in mails.received)


async def test_a_burst_is_one_mail_and_what_comes_meanwhile_is_the_next(tmp_path: Path, pki: Pki) -> None:
    with mail_server(Mails(), pki.server, "starttls") as mails:
        async with running(tmp_path / "home", **properties(mails, pki.server, tmp_path)) as run:
            await suspect(run, *(f"QK{n}" for n in range(20)))
            await until(lambda: len(list(run.service.alarms.standing)) == 21)  # and the start
            run.clock.ahead_us += GATHER_US
            await until(lambda: mails.received)
            await suspect(run, "QK77")
            run.clock.ahead_us += GATHER_US
            await until(lambda: any(each.subject == "QK77" for each in run.service.alarms.standing))
            assert len(mails.received) == 1, "at most one in a minute"
            run.clock.ahead_us += EVERY_US
            await until(lambda: len(mails.received) == 2)
    assert mails.received[0]["Subject"].endswith(", and 19 more") and "QK77" in texts(mails)
    assert "qekm keys show QK19" in texts(mails) and mails.logins[0] == ("qekm", b"right")


async def test_a_server_that_is_away_holds_nobody_up_and_hears_of_all_when_it_is_back(
    tmp_path: Path, pki: Pki
) -> None:
    mails = Mails(port=free_port())
    async with running(tmp_path / "home", **properties(mails, pki.server, tmp_path)) as run:
        await suspect(run, "QK1")
        run.clock.ahead_us += GATHER_US
        await until(lambda: list(run.service.alarms.standing))
        run.clock.ahead_us += GATHER_US
        await until(run.service.alarms.lines)
        (line,) = run.service.alarms.lines()
        assert line.startswith(f"mail server {HOST}:{mails.port} cannot be written: connect: ")
        assert line in run.service.lines()
        await suspect(run, "QK2")  # nobody waits
        run.clock.ahead_us += EVERY_US + GATHER_US
        with mail_server(mails, pki.server, "starttls"):
            await until(lambda: "QK1" in texts(mails) and "QK2" in texts(mails))
            await until(lambda: not run.service.alarms.lines())


async def test_what_nobody_was_told_of_before_a_crash_is_told_at_the_next_start(
    tmp_path: Path, pki: Pki
) -> None:
    mails = Mails(port=free_port())
    with mail_server(mails, pki.server, "starttls"):
        given = properties(mails, pki.server, tmp_path)
        async with running(tmp_path / "home", **given) as run:
            settings = run.service.owners.settings
            await until(lambda: run.service.alarms._remembered)
    async with running(tmp_path / "home") as run:  # the mail server is away
        await suspect(run, "QK1")
    with mail_server(mails, pki.server, "starttls"):
        async with running(tmp_path / "home") as run:
            run.clock.ahead_us += GATHER_US
            await until(lambda: "QK1" in texts(mails))
        told = len(mails.received)
        async with running(tmp_path / "home") as run:
            assert run.service.alarms._remembered == int(run.service.owners.settings[PLACE])
    assert len(mails.received) == told and "QK1" not in texts(Mails(received=mails.received[told:]))
    assert PLACE not in settings, "it is the store's, for the next start"


async def test_certificates_are_told_of_at_each_step_and_when_they_are_renewed(run: Running) -> None:
    run.clock.ahead_us += 338 * DAY_US
    await run.service.alarms.look()
    run.clock.ahead_us += 30 * DAY_US
    await run.service.alarms.look()
    found = [each for each in await run.records() if each.event == "certificate.expiring"]
    who = "administrator/administrator"
    own = [(each.code, each.outcome) for each in found if each.message.startswith(who)]
    assert own == [("DAYS_60", Outcome.FAILURE), ("DAYS_30", Outcome.FAILURE)]
    assert "; qekm certificates renew administrator" in found[0].message
    run.clock.ahead_us -= 368 * DAY_US
    await run.service.alarms.look()
    (*_, last) = [each for each in await run.records() if each.event == "certificate.expiring"]
    assert last.message.endswith(": well again")


@pytest.fixture
async def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Give a service that tells nobody."""
    async with running(tmp_path / "home") as each:
        yield each


async def test_what_stands_is_listed_the_gravest_first_and_is_gone_when_well(run: Running) -> None:
    def low(outcome: Outcome) -> object:
        text = "group g\n\x1b[2J: 1 of 64 keys are left to give out"
        return occurred(run.clock(), "group.low", SERVICE, outcome, message=text)

    await suspect(run, "QK1")
    await run.store.commit([low(Outcome.FAILURE)])  # type: ignore[list-item]
    asked = pb.ListAlarmsRequest(page_size=1)
    seen = []
    await until(lambda: len(list(run.service.alarms.standing)) == 3)
    while True:
        answer = await run.client.alarms.ListAlarms(asked)
        seen += [(each.event, each.severity) for each in answer.alarms]
        asked.page_token = answer.next_page_token
        if not asked.page_token:
            break
    assert {seen[0], seen[1]} == {("key.suspect", 2), ("group.low", 2)} and seen[2] == ("server.start", 1)
    await run.store.commit([low(Outcome.SUCCESS)])  # type: ignore[list-item]
    await until(lambda: len(list(run.service.alarms.standing)) == 2)


async def test_a_test_tells_of_each_receiver_whether_it_arrived_and_at_which_step_it_failed(
    tmp_path: Path, pki: Pki
) -> None:
    posts, mails = Posts(), Mails()
    with mail_server(mails, pki.server, "starttls"), web_server(posts, pki.server):
        hook = {
            "alarms__webhook__url": f"https://{HOST}:{posts.port}/hook",
            "alarms__webhook__trust": str(pki.server.trust),
        }
        given = properties(mails, pki.server, tmp_path) | hook
        async with running(tmp_path / "home", **given) as run:
            answer = await run.client.alarms.TestAlarms(pb.TestAlarmsRequest())
            assert [each.failed_step for each in answer.results] == ["", ""]
            posts.status, mails.refuse = 503, "550 not here"
            answer = await run.client.alarms.TestAlarms(pb.TestAlarmsRequest())
            assert [each.failed_step for each in answer.results] == ["send", "answer"]
            assert "550" in answer.results[0].message and answer.results[1].message.startswith("503")
            outcomes = [e.outcome for e in await run.records() if e.event == "rpc.TestAlarms"]
            assert outcomes == [Outcome.SUCCESS, Outcome.FAILURE]
            mails.refuse, to = "", run.service.alarms.receivers[0]
            assert isinstance(to, Mail)
            to.receivers, mails.unknown = ["ops@example.org", "gone@example.org"], ("gone@example.org",)
            answer = await run.client.alarms.TestAlarms(pb.TestAlarmsRequest())
            assert answer.results[0].failed_step == "send"
            assert answer.results[0].message.endswith(" takes no mail for gone@example.org")
            assert answer.results[0].message in run.service.lines()
    mail, _ = mails.received
    assert " TEST " in mail["Subject"] and "This is a test" in mail.get_content()
    assert [json.loads(body)["test"] for _, body in posts.received] == [True] * 3


async def test_tests_are_made_one_at_a_time_although_who_asked_has_gone(tmp_path: Path, pki: Pki) -> None:
    with mail_server(Mails(slow_s=1.0), pki.server, "starttls") as mails:
        async with running(tmp_path / "home", **properties(mails, pki.server, tmp_path)) as run:
            gone = [asyncio.create_task(run.service.alarms.test()) for _ in range(5)]
            await asyncio.sleep(0)
            for each in gone:
                each.cancel()
            told = await asyncio.gather(*(run.service.alarms.test() for _ in range(5)))
            assert {tuple(each) for each in told} == {((f"mail server {HOST}:{mails.port}", "", ""),)}
            assert len(mails.received) == 1
            await run.service.alarms.test()
            assert len(mails.received) == 2, "the next one is made anew"


async def test_a_look_comes_by_itself_a_minute_after_the_start(tmp_path: Path) -> None:
    async with running(tmp_path / "home", alarms__diskMegabytes="1000000") as run:
        run.clock.ahead_us += LOOK_US
        await until(lambda: any(each.event == "disk.low" for each in run.service.alarms.standing))


async def test_a_run_that_was_cut_off_is_an_alarm_at_the_next_start_only(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        async with running(tmp_path / "home"):
            raise RuntimeError
    for stands in (True, False):
        async with running(tmp_path / "home") as run:
            await run.service.alarms.tick()
            assert any(each.event == "server.cut" for each in run.service.alarms.standing) is stands


async def test_that_the_service_has_failed_is_told_although_the_receiver_is_slow(
    tmp_path: Path, pki: Pki
) -> None:
    with mail_server(Mails(slow_s=PATIENCE_S + 1), pki.server, "starttls") as mails:
        async with running(tmp_path / "home", **properties(mails, pki.server, tmp_path)) as run:
            await run.service.alarms.abort("the disk is gone")
            assert "the disk is gone" in texts(mails)
