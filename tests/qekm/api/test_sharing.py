"""SharingService over the wire: two whole estates, and what each must never do for the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from qekm.errors import (
    ApprovalNeeded,
    BadArgument,
    BadCertificate,
    BadFile,
    KeyInUse,
    KeystoreLocked,
    NotAllowed,
    PartnerExists,
    QekmError,
    StoreDamaged,
    UnknownGroup,
    UnknownKey,
    UnknownPartner,
)
from qekm.keystore import Keystore
from qekm.model import Key, KeyState, Outcome, Role
from qekm.secret import Secret
from qekm.v1 import sharing_pb2 as pb
from qekm.v1.keystore_pb2 import LockKeystoreRequest
from tests.qekm.api.people import have, person
from tests.qekm.api.running import collect, running
from tests.qekm.api.sites import Site, outcomes, site

IMPORTED, PRESENT, CONFLICT, UNUSABLE = "IMPORTED", "PRESENT", "CONFLICT", "UNUSABLE"


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """Give a site."""
    async with site(tmp_path / "here") as each:
        yield each


@pytest_asyncio.fixture
async def there(tmp_path: Path) -> AsyncIterator[Site]:
    """Give another site."""
    async with site(tmp_path / "there") as each:
        yield each


@pytest_asyncio.fixture
async def sites(here: Site, there: Site) -> tuple[Site, Site]:
    """Give two sites that know each other."""
    await here.knows(there, "there")
    await there.knows(here, "here")
    return here, there


async def told(each: Site, event: str) -> list[tuple[str, Outcome, str, str]]:
    """Return actor, outcome, alias and message of the records of an event."""
    found = [record for record in await each.run.records() if record.event == event]
    return [(record.actor, record.outcome, record.alias, record.message) for record in found]


async def test_keys_go_to_the_other_site_and_its_keys_come_back(sites: tuple[Site, Site]) -> None:
    for one, other, name in ((*sites, "there"), (sites[1], sites[0], "here")):
        keys = await one.used(3)
        report = await other.receive(await one.send(keys, name))
        assert outcomes(report) == [IMPORTED] * 3
        assert report.sender == ("here" if name == "there" else "there")
        for key in keys:
            taken = other.run.service.owners.keystore.by_alias(key.alias)
            assert (taken.state, taken.group, taken.dki) == (KeyState.PROCESS_ONLY, "imported", key.dki)
            assert other.material(key.alias) == one.material(key.alias)
            assert one.run.service.owners.keystore.by_alias(key.alias) == key
        stored = {key.alias: key for key in other.run.store.load().keys}
        assert {stored[key.alias].state for key in keys} == {KeyState.PROCESS_ONLY}


async def test_what_left_and_what_came_is_in_both_trails(sites: tuple[Site, Site]) -> None:
    here, there = sites
    keys = await here.used(2)
    await there.receive(await here.send(keys, "there"))
    fingerprint = (await there.client.sharing.GetCertificates(pb.GetCertificatesRequest())).fingerprint.hex()
    left = await told(here, "key.export")
    assert [(actor, outcome, alias) for actor, outcome, alias, _ in left] == [
        ("administrator/administrator", Outcome.INTENT, key.alias) for key in keys
    ]
    assert {message for *_, message in left} == {f"for partner there, certificate {fingerprint[:16]}"}
    calls = await told(here, "rpc.ExportKeys")
    assert [outcome for _, outcome, _, _ in calls] == [Outcome.INTENT, Outcome.INTENT, Outcome.SUCCESS]
    assert "approved by custodian/bob" in calls[-1][3]
    came = await told(there, "key.import")
    assert [(outcome, alias) for _, outcome, alias, _ in came] == [
        (Outcome.SUCCESS, key.alias) for key in keys
    ]
    assert {message for *_, message in came} == {"keys.cms, signed by partner here"}
    assert (await told(there, "rpc.ImportKeys"))[-1][3].endswith("to group imported: 2 imported")


async def test_the_same_file_again_changes_nothing(sites: tuple[Site, Site]) -> None:
    here, there = sites
    file = await here.send(await here.used(2), "there")
    await there.receive(file)
    before = there.run.store.load().keys
    for _ in range(2):
        assert outcomes(await there.receive(file)) == [PRESENT] * 2
    assert there.run.store.load().keys == before
    assert len(await told(there, "key.import")) == 2


async def test_a_file_of_many_parts_and_batches_goes_and_comes_whole(tmp_path: Path) -> None:
    async with site(tmp_path / "a", keys=800) as here, site(tmp_path / "b", keys=0) as there:
        await here.knows(there, "there")
        await there.knows(here, "here")
        keys = await here.used(800)
        await here.approve(pb.ExportKeysRequest(group="default", partner="there"))
        stream = here.client.sharing.ExportKeys(pb.ExportKeysRequest(group="default", partner="there"))
        answers = await collect(stream)
        assert max(len(answer.data) for answer in answers) <= 65_536
        assert len(answers) > 1
        report = await there.receive(b"".join(answer.data for answer in answers), group="from-a", part=1_000)
        assert sorted(key.alias for key in report.keys) == sorted(key.alias for key in keys)
        assert outcomes(report) == [IMPORTED] * 800
        assert {key.group for key in there.run.store.load().keys} == {"from-a"}


async def test_keys_in_clear_are_told_batch_by_batch_after_their_records(tmp_path: Path) -> None:
    async with site(tmp_path / "a", keys=100) as here:
        keys = await here.used(100)
        answers = await here.export(pb.ExportKeysRequest(aliases=[key.alias for key in keys]))
        assert [len(answer.keys) for answer in answers] == [64, 36]
        for key, given in zip(keys, (each for answer in answers for each in answer.keys), strict=True):
            assert (given.alias, given.dki) == (key.alias, key.dki)
            assert given.material == here.material(key.alias)
        left = await told(here, "key.export")
        assert [(alias, message) for _, _, alias, message in left] == [
            (key.alias, "in clear") for key in keys
        ]


class Failing:
    """A keystore of which one key cannot be read; keeps what it opened."""

    def __init__(self, keystore: Keystore, damaged: str) -> None:
        self._keystore, self._damaged = keystore, damaged
        self.opened: list[Secret] = []

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keystore)

    def by_alias(self, alias: str) -> Key:
        """Return a key."""
        return self._keystore.by_alias(alias)

    def open(self, key: Key) -> Secret:
        """Return its material, or StoreDamaged."""
        if key.alias == self._damaged:
            raise StoreDamaged("it is damaged")
        self.opened.append(self._keystore.open(key))
        return self.opened[-1]


async def test_an_export_that_fails_leaves_no_key_behind_and_a_record_of_how_many_left(
    tmp_path: Path,
) -> None:
    async with site(tmp_path / "a", keys=100) as here:
        keys = await here.used(100)
        exporting: Any = here.run.service.owners.exporting
        failing = exporting._keystore = Failing(exporting._keystore, keys[70].alias)
        with pytest.raises(StoreDamaged):
            await here.export(pb.ExportKeysRequest(aliases=[key.alias for key in keys]))
        assert [secret.reveal() for secret in failing.opened] == [bytes(32)] * 70
        *_, (_, outcome, _, message) = await told(here, "rpc.ExportKeys")
        assert outcome is Outcome.FAILURE
        assert message.endswith("; ended early, 64 of 100 keys left")


async def test_an_export_takes_an_open_keystore_and_a_second_person_each_time(here: Site) -> None:
    (key,) = await here.used(1)
    request = pb.ExportKeysRequest(aliases=[key.alias])
    await here.client.keystore.LockKeystore(LockKeystoreRequest())
    with pytest.raises(KeystoreLocked):
        await collect(here.client.sharing.ExportKeys(request))
    with pytest.raises(KeystoreLocked):
        await here.take([pb.ClearKey(alias="KEY000000000000000001", material=bytes(32))])
    await here.run.unlock()
    await here.approve(request)
    await here.client.keystore.LockKeystore(LockKeystoreRequest())
    with pytest.raises(KeystoreLocked):
        await collect(here.client.sharing.ExportKeys(request))
    await here.run.unlock()
    assert len(await collect(here.client.sharing.ExportKeys(request))) == 1
    with pytest.raises(ApprovalNeeded):
        await collect(here.client.sharing.ExportKeys(request))
    assert len(await told(here, "key.export")) == 1


async def test_an_approval_is_for_these_keys_and_this_certificate_alone(sites: tuple[Site, Site]) -> None:
    here, there = sites
    one, other = await here.used(2)
    approved = pb.ExportKeysRequest(aliases=[one.alias], partner="there")
    await here.approve(approved)
    for request in (
        pb.ExportKeysRequest(aliases=[other.alias], partner="there"),
        pb.ExportKeysRequest(aliases=[one.alias, other.alias], partner="there"),
        pb.ExportKeysRequest(aliases=[one.alias]),
        pb.ExportKeysRequest(group="default", partner="there"),
    ):
        with pytest.raises(ApprovalNeeded):
            await collect(here.client.sharing.ExportKeys(request))
    own = await here.client.sharing.GetCertificates(pb.GetCertificatesRequest())
    await here.client.sharing.DeletePartner(pb.DeletePartnerRequest(name="there"))
    renamed = pb.CreatePartnerRequest(name="there", pem=own.pem, fingerprint=own.fingerprint)
    await here.client.sharing.CreatePartner(renamed)  # another organisation under the approved name
    with pytest.raises(ApprovalNeeded):
        await collect(here.client.sharing.ExportKeys(approved))
    await here.client.sharing.DeletePartner(pb.DeletePartnerRequest(name="there"))
    await here.knows(there, "there")
    spelled = pb.ExportKeysRequest(aliases=[one.alias.lower(), one.alias], partner="there")
    assert await collect(here.client.sharing.ExportKeys(approved))
    assert not [record for record in await told(here, "key.export") if record[2] == other.alias]
    with pytest.raises(ApprovalNeeded):
        await collect(here.client.sharing.ExportKeys(spelled))


async def test_a_key_that_was_never_used_or_is_going_stays(here: Site) -> None:
    owner = here.run.service.owners.keystore
    (used,) = await here.used(1)
    ready = owner.next_ready("default")
    assert ready is not None
    with pytest.raises(KeyInUse, match="never used: exported, two sites could give it") as caught:
        await collect(here.client.sharing.ExportKeys(pb.ExportKeysRequest(aliases=[used.alias, ready.alias])))
    assert "once a cartridge was written" in caught.value.advice
    bound = owner.bind(ready, "001300000392")
    with pytest.raises(KeyInUse, match="never used"):
        await collect(here.client.sharing.ExportKeys(pb.ExportKeysRequest(aliases=[bound.alias])))
    (condemned,) = owner.condemn([used.alias], 10**18)
    with pytest.raises(KeyInUse, match="DESTROY_PENDING"):
        await collect(here.client.sharing.ExportKeys(pb.ExportKeysRequest(aliases=[condemned.alias])))
    owner.erase(condemned, 1)
    with pytest.raises(KeyInUse, match="DESTROYED"):
        await collect(here.client.sharing.ExportKeys(pb.ExportKeysRequest(aliases=[condemned.alias])))
    with pytest.raises(UnknownKey, match="no key that may be exported"):
        await collect(here.client.sharing.ExportKeys(pb.ExportKeysRequest(group="default")))


async def test_of_a_group_only_what_was_used_leaves(here: Site) -> None:
    keys = await here.used(3)
    answers = await here.export(pb.ExportKeysRequest(group="default"))
    assert [each.alias for each in answers[0].keys] == [key.alias for key in keys]


async def test_a_key_that_is_condemned_after_the_approval_does_not_leave(here: Site) -> None:
    one, other = await here.used(2)
    request = pb.ExportKeysRequest(group="default")
    await here.approve(request)
    here.run.service.owners.keystore.condemn([one.alias], 10**18)
    (answer,) = await collect(here.client.sharing.ExportKeys(request))
    assert [each.alias for each in answer.keys] == [other.alias]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.ExportKeysRequest(), BadArgument),
        (pb.ExportKeysRequest(aliases=["QKM00000000000000FFFF"], group="default"), BadArgument),
        (pb.ExportKeysRequest(aliases=["QKM00000000000000FFFF"]), UnknownKey),
        (pb.ExportKeysRequest(aliases=["x"] * 10_001), BadArgument),
        (pb.ExportKeysRequest(group="none"), UnknownGroup),
        (pb.ExportKeysRequest(group="default"), UnknownKey),
        (pb.ExportKeysRequest(group="default", partner="nobody"), UnknownPartner),
    ],
)
async def test_exports_that_cannot_be_file_no_request(
    here: Site, request_: pb.ExportKeysRequest, error: type[QekmError]
) -> None:
    before = await here.run.records()
    with pytest.raises(error):
        await collect(here.client.sharing.ExportKeys(request_))
    assert await here.run.records() == before


async def test_keys_that_are_here_are_never_overwritten(here: Site) -> None:
    (own,) = await here.used(1)
    material = here.material(own.alias)
    ready = here.run.service.owners.keystore.next_ready("default")
    assert ready is not None
    report = await here.take(
        [
            pb.ClearKey(alias=own.alias, material=os.urandom(32)),
            pb.ClearKey(alias=own.alias.lower(), material=os.urandom(32)),
            pb.ClearKey(alias=own.alias.lower(), material=material),
            pb.ClearKey(alias=ready.alias, material=os.urandom(32)),
            pb.ClearKey(alias="archivekey1", material=bytes(range(32))),
            pb.ClearKey(alias="ArchiveKey1", material=bytes(range(32))),
            pb.ClearKey(alias="ArchiveKey1", material=bytes(32)),
        ]
    )
    assert outcomes(report) == [CONFLICT, CONFLICT, PRESENT, CONFLICT, IMPORTED, PRESENT, CONFLICT]
    assert report.keys[0].message == f"another key has the alias {own.alias}"
    assert here.material(own.alias) == material
    assert here.run.service.owners.keystore.by_alias(ready.alias) == ready
    assert here.material("archivekey1") == bytes(range(32))
    refused = [(alias, outcome) for _, outcome, alias, _ in await told(here, "key.import")]
    assert refused.count((own.alias, Outcome.FAILURE)) == 1
    assert not report.sender


async def test_a_destroyed_key_does_not_come_back_and_one_that_waits_is_said_to(here: Site) -> None:
    owner = here.run.service.owners.keystore
    gone, going = await here.used(2)
    offers = [pb.ClearKey(alias=key.alias, material=here.material(key.alias)) for key in (gone, going)]
    owner.erase(gone, 1)
    owner.condemn([going.alias], 10**18)
    report = await here.take(offers)
    assert outcomes(report) == [CONFLICT, PRESENT]
    assert [key.message for key in report.keys] == [
        "the key of this alias was destroyed here",
        "it is to be destroyed",
    ]


async def test_what_is_no_key_for_tapes_is_reported_and_the_rest_is_taken(here: Site) -> None:
    good = "KEY000000000000000A01"
    report = await here.take(
        [
            pb.ClearKey(alias="abc", material=bytes(32)),
            pb.ClearKey(alias="", material=bytes(32)),
            pb.ClearKey(alias="schlüssel\x1b[2J und noch viel mehr davon", material=bytes(32)),
            pb.ClearKey(alias="KEY000000000000000002", material=bytes(16)),
            pb.ClearKey(alias=good, dki=b"key" + bytes(9), material=bytes(32)),
            pb.ClearKey(alias=good.lower()[:3] + good.lower()[3:], material=bytes(range(32))),
        ]
    )
    assert outcomes(report) == [UNUSABLE] * 5 + [IMPORTED]
    assert [key.alias for key in report.keys][2] == "schl?ssel?[2J und noch v"
    assert report.keys[-1].alias == "key000000000000000A01"  # one spelling: digits in upper case
    assert "this is no AES-256 key" in report.keys[3].message
    assert [key.alias for key in here.run.store.load().keys if key.group == "imported"] == [
        "key000000000000000A01"
    ]


async def test_the_group_is_made_for_the_first_key_and_gives_out_none(here: Site) -> None:
    await here.take([pb.ClearKey(alias="abc", material=bytes(32))])
    assert [group.name for group in here.run.store.load().groups] == ["default"]
    await here.take([pb.ClearKey(alias="OLD1", material=bytes(32))], group="ekm")
    await here.take([pb.ClearKey(alias="OLD2", material=bytes([1] * 32))], group="ekm")
    groups = {group.name: group for group in here.run.store.load().groups}
    assert groups.keys() == {"default", "ekm"}
    await here.run.service.upkeep.tick()
    assert here.run.service.owners.allocator.counts("ekm") == (2, 0)
    with pytest.raises(BadArgument, match="group's name"):
        await here.take([pb.ClearKey(alias="OLD3", material=bytes(32))], group="with space")


async def test_a_file_that_was_altered_or_is_for_somebody_else_gives_no_key(
    sites: tuple[Site, Site],
) -> None:
    here, there = sites
    file = await here.send(await here.used(1), "there")
    before = await there.run.records()
    for place in range(0, len(file), 97):
        altered = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        with pytest.raises((BadFile, BadCertificate)):
            await there.receive(altered)
    for cut in (1, 100, len(file) - 1):
        with pytest.raises(BadFile):
            await there.receive(file[:cut])
    with pytest.raises(BadFile, match="another recipient"):
        await here.receive(file)
    assert await there.run.records() == before
    assert outcomes(await there.receive(file)) == [IMPORTED]


async def test_a_file_of_nobody_we_know_gives_no_key_and_names_who_signed_it(
    sites: tuple[Site, Site],
) -> None:
    here, there = sites
    file = await here.send(await here.used(1), "there")
    await there.client.sharing.DeletePartner(pb.DeletePartnerRequest(name="here"))
    with pytest.raises(BadCertificate, match="Q-EKM keys from this estate") as caught:
        await there.receive(file)
    assert "qekm certificates import" in caught.value.advice
    await there.knows(here, "here-again")
    assert (await there.receive(file)).sender == "here-again"


async def test_huge_files_and_mixed_calls_are_refused(sites: tuple[Site, Site]) -> None:
    _, there = sites
    part = pb.ImportKeysRequest(data=bytes(1_000_000))
    with pytest.raises(BadFile, match="16,777,216"):
        await there.client.sharing.ImportKeys(iter([part] * 20), timeout=60)
    clear = pb.ImportKeysRequest(keys=[pb.ClearKey(alias="OLD1", material=bytes(32))])
    for parts in ([clear, part], [part, clear]):
        with pytest.raises(BadArgument, match="do not come in one call"):
            await there.client.sharing.ImportKeys(iter(parts), timeout=60)
    with pytest.raises(BadArgument, match="nothing was sent"):
        await there.client.sharing.ImportKeys(iter([]), timeout=60)


async def test_partners_are_listed_by_name_and_survive_a_restart(tmp_path: Path) -> None:
    async with site(tmp_path / "a") as here, site(tmp_path / "b") as there:
        await here.knows(there, "there")
        own = await there.client.sharing.GetCertificates(pb.GetCertificatesRequest())
    async with running(tmp_path / "a") as run:
        sharing = run.client.sharing
        (partner,) = (await sharing.ListPartners(pb.ListPartnersRequest())).partners
        assert (partner.name, partner.fingerprint, partner.signs) == ("there", own.fingerprint, True)
        assert partner.subject.startswith("CN=Q-EKM keys for this estate,O=Q-EKM estate ")
        assert partner.expire_time.seconds > partner.create_time.seconds + 9 * 365 * 86_400
        with pytest.raises(PartnerExists):
            request = pb.CreatePartnerRequest(name="again", pem=own.pem, fingerprint=own.fingerprint)
            await sharing.CreatePartner(request)
        await sharing.DeletePartner(pb.DeletePartnerRequest(name="there"))
        with pytest.raises(UnknownPartner):
            await sharing.DeletePartner(pb.DeletePartnerRequest(name="there"))
        assert not (await sharing.ListPartners(pb.ListPartnersRequest())).partners
        events = [record.message for record in await run.records() if "Partner" in record.event]
        assert events[-1] == "partner there"


async def test_a_partner_whose_fingerprint_is_another_is_not_taken_in(sites: tuple[Site, Site]) -> None:
    here, there = sites
    own = await there.client.sharing.GetCertificates(pb.GetCertificatesRequest())
    for fingerprint, error in ((bytes(32), BadCertificate), (b"", BadArgument), (bytes(31), BadArgument)):
        request = pb.CreatePartnerRequest(name="other", pem=own.pem, fingerprint=fingerprint)
        with pytest.raises(error):
            await here.client.sharing.CreatePartner(request)
    for name in ("", "with space", "ü", "x" * 65):
        request = pb.CreatePartnerRequest(name=name, pem=own.pem, fingerprint=own.fingerprint)
        with pytest.raises(BadArgument):
            await here.client.sharing.CreatePartner(request)


async def test_our_certificates_stay_the_same_and_outlive_a_roll_over(sites: tuple[Site, Site]) -> None:
    here, there = sites
    before = await there.client.sharing.GetCertificates(pb.GetCertificatesRequest())
    encryption, signing, authority = x509.load_pem_x509_certificates(before.pem.encode())
    for leaf in (encryption, signing):
        leaf.verify_directly_issued_by(authority)
    there.run.service.owners.certificates.start_rollover()
    assert await there.client.sharing.GetCertificates(pb.GetCertificatesRequest()) == before
    file = await here.send(await here.used(1), "there")
    assert outcomes(await there.receive(file)) == [IMPORTED]


async def test_who_may_not_may_end_what_it_says_and_is_told_so(here: Site) -> None:
    await have(here.client, here.run, Role.OPERATOR, "olga")
    sent = []

    async def parts() -> AsyncIterator[pb.ImportKeysRequest]:
        for number in range(10):
            sent.append(number)
            yield pb.ImportKeysRequest(data=bytes(1_000))
            await asyncio.sleep(0.05)

    async with person(here.run, "olga") as client:
        uploading = client.sharing.ImportKeys(parts(), timeout=60)
        with pytest.raises(NotAllowed):
            await uploading
    assert len(sent) == 10, "its client was cut off, which may be told as an internal error"


async def test_who_may_not_is_refused(here: Site) -> None:
    (key,) = await here.used(1)
    for role in (Role.OPERATOR, Role.AUDITOR):
        await have(here.client, here.run, role, role.name.lower())
        async with person(here.run, role.name.lower()) as client:
            with pytest.raises(NotAllowed):
                await collect(client.sharing.ExportKeys(pb.ExportKeysRequest(aliases=[key.alias])))
            with pytest.raises(NotAllowed):
                await client.sharing.ImportKeys(iter([pb.ImportKeysRequest()]))
