"""ApprovalsService over the wire, and the certificates by which one person could become two."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm import keypair
from qekm.approvals import REMEMBERED_US
from qekm.client import AsyncClient
from qekm.errors import ApprovalNeeded, BadArgument, NotAllowed, SameSubject, UnknownApproval
from qekm.model import Role
from qekm.v1 import approvals_pb2 as pb
from qekm.v1.certificates_pb2 import (
    IssueCertificateRequest,
    RenewCertificateRequest,
    RevokeCertificateRequest,
)
from qekm.v1.certificates_pb2 import Role as RoleProto
from qekm.v1.keystore_pb2 import DestroyKeysRequest, ListKeysRequest
from tests.qekm.api.people import grant, have, person, two, waiting
from tests.qekm.api.running import Running, running


async def destroy(client: AsyncClient, number: int) -> str:
    """Ask for the destruction of one key and return the request's id."""
    keys = (await client.keystore.ListKeys(ListKeysRequest(page_size=64))).keys
    return await waiting(client.keystore.DestroyKeys(DestroyKeysRequest(aliases=[keys[number].alias])))


async def listed(client: AsyncClient, *, everything: bool = False, size: int = 0) -> list[pb.Approval]:
    """Return the requests, page by page."""
    request = pb.ListApprovalsRequest(all=everything, page_size=size)
    found: list[pb.Approval] = []
    while True:
        page = await client.approvals.ListApprovals(request)
        found += page.approvals
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_requests_are_listed_newest_first_until_they_are_over(run: Running) -> None:
    async with two(run) as (alice, bob):
        ids = [await destroy(alice, number) for number in range(5)]
        assert [each.approval_id for each in await listed(bob, size=2)] == ids[::-1]
        await bob.approvals.RefuseApproval(pb.RefuseApprovalRequest(approval_id=ids[0]))
        await alice.approvals.RefuseApproval(pb.RefuseApprovalRequest(approval_id=ids[1]))
        await grant(bob, ids[2].upper())
        assert [each.approval_id for each in await listed(bob)] == ids[:1:-1]
        states = {each.approval_id: each for each in await listed(alice, everything=True)}
        assert [states[each].state for each in ids] == [
            pb.APPROVAL_STATE_REFUSED,
            pb.APPROVAL_STATE_REFUSED,
            pb.APPROVAL_STATE_APPROVED,
            pb.APPROVAL_STATE_PENDING,
            pb.APPROVAL_STATE_PENDING,
        ]
        assert [states[each].decider for each in ids[:3]] == [
            "custodian/bob",
            "administrator/administrator",
            "custodian/bob",
        ]
        told = states[ids[3]]
        assert (told.action, told.requester, told.decider) == ("destroy", "administrator/administrator", "")
        assert told.summary.startswith("destroy 1 key: QKM00") and told.summary.endswith(" in 7 days")
        assert told.expire_time.seconds - told.create_time.seconds == 86_400
        assert not told.HasField("decide_time") and states[ids[0]].HasField("decide_time")
    records = [record for record in await run.records() if record.event == "rpc.RefuseApproval"]
    assert [record.actor for record in records] == ["custodian/bob", "administrator/administrator"]
    assert records[0].message.startswith(f"request {ids[0]} of administrator/administrator: destroy 1 key")


async def test_who_may_not_decide_is_refused_and_told(run: Running) -> None:
    async with two(run) as (alice, _):
        await have(alice, run, Role.OPERATOR, "olga")
        await have(alice, run, Role.AUDITOR, "anna")
        request = await destroy(alice, 0)
        with pytest.raises(UnknownApproval, match="'00000000'"):
            await grant(alice, "00000000")
        async with person(run, "olga") as olga, person(run, "anna") as anna:
            for each in (olga, anna):
                with pytest.raises(NotAllowed):
                    await grant(each, request)
            with pytest.raises(NotAllowed):
                await listed(olga)
            assert [each.approval_id for each in await listed(anna)] == [request]


async def test_the_error_tells_what_to_do(run: Running) -> None:
    keys = (await run.client.keystore.ListKeys(ListKeysRequest(page_size=1))).keys
    with pytest.raises(ApprovalNeeded) as caught:
        await run.client.keystore.DestroyKeys(DestroyKeysRequest(aliases=[keys[0].alias]))
    request = caught.value.details["approval"]
    assert caught.value.message == (
        f"a second person must approve this: destroy 1 key: {keys[0].alias} in 7 days"
    )
    assert caught.value.advice == (
        f"another person approves it with: qekm approvals approve {request}; then run this again"
    )


async def test_a_certificate_that_was_issued_after_the_request_does_not_approve_it(run: Running) -> None:
    request = await destroy(run.client, 0)
    run.clock.ahead_us += 2_000_000
    await have(run.client, run, Role.CUSTODIAN, "bob")
    async with person(run, "bob") as bob:
        with pytest.raises(SameSubject, match="was made after request"):
            await grant(bob, request)
        await run.client.approvals.RefuseApproval(pb.RefuseApprovalRequest(approval_id=request))
        run.clock.ahead_us += 2_000_000
        assert (await grant(bob, await destroy(run.client, 0))).state == pb.APPROVAL_STATE_APPROVED


# Certificates.


async def test_the_second_person_is_made_by_one_and_the_third_by_two(run: Running) -> None:
    async with two(run) as (alice, bob):
        await have(alice, run, Role.OPERATOR, "olga")  # who decides nothing
        for role in (Role.ADMINISTRATOR, Role.CUSTODIAN):
            request = await waiting(have(alice, run, role, "carol"))
            with pytest.raises(SameSubject):
                await grant(alice, request)
            await grant(bob, request)
            await have(alice, run, role, "carol")  # with another key: what is approved is whom it names
            assert await waiting(have(alice, run, role, "carol")) != request
    told = [each for each in await run.records() if each.event == "rpc.IssueCertificate"]
    assert f"approved by custodian/bob, request {request}" in told[-2].message
    assert told[-1].message.endswith("issue a certificate of custodian/carol")


async def test_an_approved_certificate_is_for_this_name_role_and_time(run: Running) -> None:
    async with two(run) as (alice, bob):
        request = await waiting(have(alice, run, Role.ADMINISTRATOR, "carol"))
        await grant(bob, request)
        assert await waiting(have(alice, run, Role.ADMINISTRATOR, "mallory")) != request
        assert await waiting(have(alice, run, Role.CUSTODIAN, "carol")) != request
        longer = IssueCertificateRequest(
            csr=keypair.make_request(keypair.make_key()),
            role=RoleProto.ROLE_ADMINISTRATOR,
            name="carol",
            days=800,
        )
        assert await waiting(alice.certificates.IssueCertificate(longer)) != request
        longer.days = 9_999
        with pytest.raises(BadArgument):
            await alice.certificates.IssueCertificate(longer)


async def test_renewing_for_another_who_decides_takes_two_and_ones_own_does_not(run: Running) -> None:
    def request_of(name: str, serial: str = "") -> RenewCertificateRequest:
        key = keypair.load_key(run.home.key(name).read_bytes())
        return RenewCertificateRequest(csr=keypair.make_request(key), serial=serial)

    serial = await have(run.client, run, Role.CUSTODIAN, "bob")
    olga = await have(run.client, run, Role.OPERATOR, "olga")
    run.clock.ahead_us += 2_000_000
    async with person(run, "bob") as bob:
        await bob.certificates.RenewCertificate(request_of("bob"))
        await run.client.certificates.RenewCertificate(request_of("administrator"))
        await run.client.certificates.RenewCertificate(request_of("olga", olga))
        wanted = request_of("administrator", serial)  # bob's certificate for a key of the administrator's
        request = await waiting(run.client.certificates.RenewCertificate(wanted))
        await grant(bob, request)
        await run.client.certificates.RenewCertificate(wanted)


async def test_revoking_the_second_person_does_not_let_one_make_another_at_once(run: Running) -> None:
    serial = await have(run.client, run, Role.CUSTODIAN, "bob")
    await run.client.certificates.RevokeCertificate(RevokeCertificateRequest(serial=serial))
    await waiting(have(run.client, run, Role.CUSTODIAN, "mallory"))
    run.clock.ahead_us += REMEMBERED_US
    await have(run.client, run, Role.CUSTODIAN, "carol")


async def test_ones_own_second_certificate_makes_nobody_a_second_person(run: Running) -> None:
    await have(run.client, run, Role.CUSTODIAN, "administrator")
    run.clock.ahead_us += 2_000_000
    request = await destroy(run.client, 0)
    run.home.certificate("other").write_bytes(run.home.certificate("administrator").read_bytes())
    run.home.key("other").write_bytes(run.home.key("administrator").read_bytes())
    async with person(run, "other") as same:
        with pytest.raises(SameSubject):
            await grant(same, request)
    await have(run.client, run, Role.CUSTODIAN, "bob")  # still by one: there is but one person


async def test_where_one_person_is_enough_certificates_are_issued_and_it_is_recorded(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        await have(run.client, run, Role.CUSTODIAN, "bob")
        await have(run.client, run, Role.CUSTODIAN, "carol")
        told = [each.message for each in await run.records() if each.event == "rpc.IssueCertificate"]
        assert [message.endswith("; twoPerson=off") for message in told] == [False, True]
