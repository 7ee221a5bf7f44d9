"""Accounts of a running service: who needs a password, who sets whose, and what ends a session."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from qekm.client import AsyncClient, connect_async
from qekm.errors import (
    AccountExists,
    BadArgument,
    BadPassword,
    LastAdministrator,
    NotAllowed,
    PasswordNeeded,
    QekmError,
    RevokedIdentity,
    SameSubject,
    TooMany,
    UnknownAccount,
)
from qekm.model import Outcome, Role
from qekm.v1 import accounts_pb2 as pb
from qekm.v1 import (
    audit_pb2,
    certificates_pb2,
    configuration_pb2,
    keystore_pb2,
    server_pb2,
    slots_pb2,
)
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.people import grant, have, person, two, waiting
from tests.qekm.api.running import Running, running

FIRST, SECOND, BOBS = b"correct horse", b"battery staple", b"another person's"
KEYS = keystore_pb2.ListKeysRequest(page_size=1)
ADMINISTRATOR = "administrator/administrator"
ALONE = f"{ADMINISTRATOR} has no command password: its certificate alone is enough"


def role(kind: Role) -> certificates_pb2.Role.ValueType:
    return certificates_pb2.Role.ValueType(kind)


async def set_own(client: AsyncClient, new: bytes, old: bytes = b"") -> None:
    """Set one's own password."""
    request = pb.UpdateOwnPasswordRequest(old_password=old, new_password=new)
    await client.accounts.UpdateOwnPassword(request)


async def create(client: AsyncClient, kind: Role, name: str, password: bytes = BOBS) -> pb.Account:
    """Make an account."""
    request = pb.CreateAccountRequest(role=role(kind), name=name, password=password)
    return (await client.accounts.CreateAccount(request)).account


async def log_in(client: AsyncClient, password: bytes) -> bytes:
    """Log in; return the session."""
    return (await client.accounts.Login(pb.LoginRequest(password=password))).session


async def refused(call: Awaitable[object]) -> QekmError:
    """Return how a call is refused."""
    with pytest.raises(QekmError) as caught:
        await call
    return caught.value


async def degraded(client: AsyncClient) -> list[str]:
    """Return what a status complains of."""
    return list((await client.server.GetStatus(server_pb2.GetStatusRequest())).degraded)


async def test_from_the_first_password_on_a_certificate_is_not_enough(run: Running) -> None:
    assert ALONE in await degraded(run.client)
    session = await run.client.accounts.GetSession(pb.GetSessionRequest())
    assert (session.actor, session.account, session.HasField("expire_time")) == (ADMINISTRATOR, False, False)
    await set_own(run.client, FIRST)
    for call in (
        run.client.keystore.ListKeys(KEYS),
        run.client.accounts.GetSession(pb.GetSessionRequest()),
        run.client.server.GetStatus(server_pb2.GetStatusRequest()),
    ):
        assert isinstance(await refused(call), PasswordNeeded)
    await run.client.server.GetVersion(server_pb2.GetVersionRequest())
    async with connect_async(run.home.path, password=lambda: FIRST) as client:
        await client.keystore.ListKeys(KEYS)
        told = await client.accounts.GetSession(pb.GetSessionRequest())
        left_us = told.expire_time.ToMicroseconds() - run.clock()
        assert told.account and 14 * 60e6 < left_us <= 15 * 60e6
        assert ALONE not in await degraded(client)
        (account,) = (await client.accounts.ListAccounts(pb.ListAccountsRequest())).accounts
        assert (account.role, account.name) == (role(Role.ADMINISTRATOR), "administrator")
        assert account.HasField("password_time") and not account.HasField("lock_time")
        await client.accounts.Logout(pb.LogoutRequest())
    told_events = [
        (record.event, record.actor) for record in await run.records() if record.event.startswith("rpc.")
    ]
    assert told_events == [
        ("rpc.UpdateOwnPassword", ADMINISTRATOR),
        ("rpc.Login", ADMINISTRATOR),
        ("rpc.Logout", ADMINISTRATOR),
    ]  # and no record of what was refused for want of a session


async def test_a_logout_ends_that_session_only_and_closes_the_keystore(run: Running) -> None:
    await set_own(run.client, FIRST)
    first, second = [await log_in(run.client, FIRST) for _ in range(2)]
    async with connect_async(run.home.path, session=first) as client:
        proof = slots_pb2.Proof(key_file=run.home.root_key.read_bytes())
        await client.keystore.UnlockKeystore(keystore_pb2.UnlockKeystoreRequest(proof=proof))
        run.service.owners.opened.check(ADMINISTRATOR, "GenerateKeys")
        await client.accounts.Logout(pb.LogoutRequest())
        assert isinstance(await refused(client.keystore.ListKeys(KEYS)), PasswordNeeded)
    with pytest.raises(QekmError):
        run.service.owners.opened.check(ADMINISTRATOR, "GenerateKeys")
    async with connect_async(run.home.path, session=second) as client:
        await client.keystore.ListKeys(KEYS)


async def test_wrong_passwords_are_in_the_trail_by_name_and_never_in_it_themselves(
    run: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await set_own(run.client, FIRST)
    for _ in range(3):
        error = await refused(log_in(run.client, SECOND))
        assert isinstance(error, BadPassword)
    records = await run.records()
    wrong = [record for record in records if record.code == "BAD_PASSWORD"]
    assert {(each.event, each.actor) for each in wrong} == {("rpc.Login", ADMINISTRATOR)}
    session = await log_in(run.client, FIRST)
    seen = repr(records) + caplog.text
    assert not any(
        secret in seen for secret in (FIRST.decode(), SECOND.decode(), session.hex(), repr(session))
    )


async def test_who_is_not_an_administrator_has_his_own_only(run: Running) -> None:
    await have(run.client, run, Role.OPERATOR, "olga")
    await create(run.client, Role.OPERATOR, "olga")  # nobody else has to consent to an operator's
    async with person(run, "olga") as stranger:
        assert isinstance(await refused(stranger.keystore.ListKeys(KEYS)), PasswordNeeded)
    async with connect_async(run.home.path, identity="olga", password=lambda: BOBS) as olga:
        await olga.keystore.ListKeys(KEYS)
        naming: dict[str, Any] = {"role": role(Role.OPERATOR), "name": "olga"}
        for call in (
            olga.accounts.ListAccounts(pb.ListAccountsRequest()),
            olga.accounts.CreateAccount(pb.CreateAccountRequest(**naming, password=FIRST)),
            olga.accounts.ResetPassword(pb.ResetPasswordRequest(**naming, password=FIRST)),
            olga.accounts.UnlockAccount(pb.UnlockAccountRequest(**naming)),
            olga.accounts.DeleteAccount(pb.DeleteAccountRequest(**naming)),
        ):
            assert isinstance(await refused(call), NotAllowed)
        await set_own(olga, SECOND, BOBS)
    async with person(run, "olga") as olga:
        assert isinstance(await refused(log_in(olga, BOBS)), BadPassword)
        await log_in(olga, SECOND)


async def test_nobody_sets_takes_or_unlocks_his_own(run: Running) -> None:
    await set_own(run.client, FIRST)
    async with connect_async(run.home.path, password=lambda: FIRST) as client:
        for kind in (Role.ADMINISTRATOR, Role.OPERATOR):  # one name is one person
            naming: dict[str, Any] = {"role": role(kind), "name": "administrator"}
            for call in (
                client.accounts.ResetPassword(pb.ResetPasswordRequest(**naming, password=SECOND)),
                client.accounts.UnlockAccount(pb.UnlockAccountRequest(**naming)),
                client.accounts.DeleteAccount(pb.DeleteAccountRequest(**naming)),
            ):
                assert isinstance(await refused(call), SameSubject)
        assert isinstance(await refused(create(client, Role.ADMINISTRATOR, "administrator")), AccountExists)


async def test_what_cannot_be_is_refused_before_anything_is_made(run: Running) -> None:
    accounts = run.client.accounts
    for kind in (Role.GATEWAY, Role.SERVER):
        assert isinstance(await refused(create(run.client, kind, "gateway")), NotAllowed)
    for name, password in (("a/b", FIRST), ("", FIRST)):
        assert isinstance(await refused(create(run.client, Role.OPERATOR, name, password)), BadArgument)
    for password in (b"short", b"changeME", b"\xff" * 9, b"x" * 1025):
        assert isinstance(await refused(create(run.client, Role.OPERATOR, "olga", password)), BadPassword)
        assert isinstance(await refused(set_own(run.client, password)), BadPassword)
    naming: dict[str, Any] = {"role": role(Role.OPERATOR), "name": "olga"}
    for call in (
        accounts.ResetPassword(pb.ResetPasswordRequest(**naming, password=FIRST)),
        accounts.UnlockAccount(pb.UnlockAccountRequest(**naming)),
        accounts.DeleteAccount(pb.DeleteAccountRequest(**naming)),
        accounts.Login(pb.LoginRequest(password=FIRST)),
        set_own(run.client, FIRST, SECOND),
    ):
        assert isinstance(await refused(call), UnknownAccount)
    assert isinstance(
        await refused(accounts.CreateAccount(pb.CreateAccountRequest(name="olga", password=FIRST))),
        BadArgument,
    )
    assert not list((await accounts.ListAccounts(pb.ListAccountsRequest())).accounts)


async def test_another_who_may_approve_gets_loses_and_has_set_his_by_two(run: Running) -> None:
    async with two(run) as (alice, bob):
        request = await waiting(create(alice, Role.CUSTODIAN, "bob"))
        await grant(bob, request)
        account = await create(alice, Role.CUSTODIAN, "bob")
        assert (account.role, account.name) == (role(Role.CUSTODIAN), "bob")
        assert isinstance(await refused(bob.keystore.ListKeys(KEYS)), PasswordNeeded)
        session = await log_in(bob, BOBS)
        async with connect_async(run.home.path, identity="bob", session=session) as proved:
            naming: dict[str, Any] = {"role": role(Role.CUSTODIAN), "name": "bob"}
            reset = pb.ResetPasswordRequest(**naming, password=SECOND)
            await grant(proved, await waiting(alice.accounts.ResetPassword(reset)))
            await alice.accounts.ResetPassword(reset)
            assert isinstance(await refused(proved.keystore.ListKeys(KEYS)), PasswordNeeded)
        assert isinstance(await refused(log_in(bob, BOBS)), BadPassword)
        session = await log_in(bob, SECOND)
        async with connect_async(run.home.path, identity="bob", session=session) as proved:
            delete = pb.DeleteAccountRequest(**naming)
            await grant(proved, await waiting(alice.accounts.DeleteAccount(delete)))
        await alice.accounts.DeleteAccount(delete)
        await bob.keystore.ListKeys(KEYS)
    records = {record.event: record.message for record in await run.records()}
    for event in ("rpc.CreateAccount", "rpc.ResetPassword", "rpc.DeleteAccount"):
        assert records[event].startswith("custodian/bob; approved by custodian/bob, request ")


async def test_an_administrator_unlocks_another_person(run: Running) -> None:
    await have(run.client, run, Role.AUDITOR, "ann")
    await create(run.client, Role.AUDITOR, "ann")
    accounts = run.service.owners.accounts
    for _ in range(10):
        await run.store.commit([accounts.fail("auditor/ann")])
    (listed,) = (await run.client.accounts.ListAccounts(pb.ListAccountsRequest())).accounts
    assert listed.lock_time.ToMicroseconds() > run.clock()
    async with person(run, "ann") as ann:
        locked = await refused(log_in(ann, BOBS))
        assert locked.reason() == "ACCOUNT_LOCKED" and "qekm accounts unlock" in locked.advice
        unlock = pb.UnlockAccountRequest(role=role(Role.AUDITOR), name="ann")
        unlocked = (await run.client.accounts.UnlockAccount(unlock)).account
        assert not unlocked.HasField("lock_time")
        await log_in(ann, BOBS)


async def test_the_lock_of_another_who_may_approve_is_ended_by_two_and_for_one_try(run: Running) -> None:
    async with two(run) as (alice, bob):
        await grant(bob, await waiting(create(alice, Role.CUSTODIAN, "bob")))
        await create(alice, Role.CUSTODIAN, "bob")
        accounts = run.service.owners.accounts
        session = await log_in(bob, BOBS)
        for _ in range(10):
            await run.store.commit([accounts.fail("custodian/bob")])
        unlock = pb.UnlockAccountRequest(role=role(Role.CUSTODIAN), name="bob")
        request = await waiting(alice.accounts.UnlockAccount(unlock))
        assert accounts.is_locked(accounts.find("custodian/bob"))
        async with connect_async(run.home.path, identity="bob", session=session) as proved:
            await grant(proved, request)
        await alice.accounts.UnlockAccount(unlock)
        assert isinstance(await refused(log_in(bob, FIRST)), BadPassword)
        assert (await refused(log_in(bob, BOBS))).reason() == "ACCOUNT_LOCKED"
        await waiting(alice.accounts.UnlockAccount(unlock))
    told = {
        record.event: record.message for record in await run.records() if record.outcome is Outcome.SUCCESS
    }
    assert told["rpc.UnlockAccount"].startswith("custodian/bob; approved by custodian/bob, request ")


async def test_a_revoked_certificate_takes_its_sessions_with_it_and_the_password_stays(run: Running) -> None:
    serial = await have(run.client, run, Role.AUDITOR, "ann")
    await create(run.client, Role.AUDITOR, "ann")
    async with person(run, "ann") as ann:
        session = await log_in(ann, BOBS)
        await run.client.certificates.RevokeCertificate(
            certificates_pb2.RevokeCertificateRequest(serial=serial)
        )
        assert isinstance(await refused(ann.keystore.ListKeys(KEYS)), RevokedIdentity)
    await have(run.client, run, Role.AUDITOR, "ann")
    async with connect_async(run.home.path, identity="ann", session=session) as ann:
        assert isinstance(await refused(ann.keystore.ListKeys(KEYS)), PasswordNeeded)
        await log_in(ann, BOBS)


async def test_a_password_makes_nobody_dispensable(run: Running) -> None:
    await set_own(run.client, FIRST)
    async with connect_async(run.home.path, password=lambda: FIRST) as client:
        own = (
            await client.certificates.ListCertificates(certificates_pb2.ListCertificatesRequest())
        ).certificates
        serial = next(each.serial for each in own if each.name == "administrator")
        revoke = certificates_pb2.RevokeCertificateRequest(serial=serial)
        assert isinstance(await refused(client.certificates.RevokeCertificate(revoke)), LastAdministrator)


async def test_accounts_and_their_tries_outlive_a_restart_and_sessions_do_not(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1) as run:
        await set_own(run.client, FIRST)
        session = await log_in(run.client, FIRST)
        await refused(log_in(run.client, SECOND))
        found = await asyncio.to_thread(run.store.load)
        assert [(each.actor, each.wrong) for each in found.accounts] == [(ADMINISTRATOR, 1)]
        assert found.accounts == list(run.service.owners.accounts)
    async with (
        running(tmp_path / "home") as run,
        connect_async(run.home.path, session=session) as client,
    ):
        assert list(run.service.owners.accounts) == found.accounts
        assert isinstance(await refused(client.keystore.ListKeys(KEYS)), PasswordNeeded)
        await log_in(client, FIRST)


async def test_drives_are_served_while_passwords_are_tried(tmp_path: Path) -> None:
    """The promise: an exchange takes no longer than 0.25 s while 50 logins run; fails at three times that."""
    for number in range(3):  # what logins hold up they hold up again, and others of this machine do not
        async with running(tmp_path / str(number)) as run:
            longest_s = await longest_exchange(run)
        if longest_s < 3 * 0.25:
            break
    assert longest_s < 3 * 0.25


async def longest_exchange(run: Running) -> float:
    """Return the seconds that the slowest exchange took while 50 logins ran."""
    site = await Site.of(run)
    await set_own(run.client, FIRST)
    async with run.gateway() as gateway:
        tries = [asyncio.create_task(log_in(run.client, SECOND)) for _ in range(50)]
        took = list[float]()
        number = 0
        while number < 8 or not all(task.done() for task in tries):
            number += 1
            begun = time.monotonic()
            asking = site.asking(site.drive(f"{number:012d}"))
            begun = time.monotonic()
            await play(gateway, asking)
            took.append(time.monotonic() - begun)
            assert asking.outcome.confirmed
        ended = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(each, QekmError) for each in ended)
    assert run.service.owners.accounts.find(ADMINISTRATOR).wrong <= 5
    print(f"{number} exchanges while passwords were tried: at most {max(took) * 1e3:.0f} ms")
    return max(took)


async def test_an_auditor_sees_the_accounts(run: Running) -> None:
    await have(run.client, run, Role.AUDITOR, "ann")
    for number in range(3):
        await create(run.client, Role.OPERATOR, f"o{number}")
    async with person(run, "ann") as ann:
        first = await ann.accounts.ListAccounts(pb.ListAccountsRequest(page_size=2))
        rest = await ann.accounts.ListAccounts(
            pb.ListAccountsRequest(page_size=2, page_token=first.next_page_token)
        )
        assert [each.name for each in (*first.accounts, *rest.accounts)] == ["o0", "o1", "o2"]
        await ann.audit.ListRecords(audit_pb2.ListRecordsRequest())


async def test_tries_are_counted_over_both_listeners_and_from_afar_a_password_is_needed(run: Running) -> None:
    afar = f"localhost:{run.ports['ssl']}"
    async with connect_async(run.home.path, target=afar) as far:
        await far.server.GetVersion(server_pb2.GetVersionRequest())
        assert isinstance(await refused(far.keystore.ListKeys(KEYS)), PasswordNeeded)
        assert isinstance(await refused(set_own(far, FIRST)), PasswordNeeded)
        await set_own(run.client, FIRST)
        for number in range(6):
            client = far if number % 2 else run.client
            error = await refused(log_in(client, SECOND))
            assert isinstance(error, BadPassword if number < 5 else TooMany)
        run.service.owners.accounts.unlock(ADMINISTRATOR)
        near_session, far_session = await log_in(run.client, FIRST), await log_in(far, FIRST)
    for target, session in ((afar, near_session), (None, far_session)):
        async with connect_async(run.home.path, target=target, session=session) as client:
            await client.keystore.ListKeys(KEYS)


async def test_how_long_a_session_lasts_is_changed_while_the_service_runs(run: Running) -> None:
    await set_own(run.client, FIRST)
    async with connect_async(run.home.path, password=lambda: FIRST) as client:
        request = configuration_pb2.UpdatePropertiesRequest(set={"admin.sessionMinutes": "5"})
        changed = await client.configuration.UpdateProperties(request)
        assert not changed.at_restart
        told = await client.accounts.GetSession(pb.GetSessionRequest())
    assert told.expire_time.ToMicroseconds() - run.clock() <= 5 * 60e6
