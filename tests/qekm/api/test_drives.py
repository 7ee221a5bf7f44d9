"""DrivesService over the wire."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.field_mask_pb2 import FieldMask

from qekm.claim import Claim
from qekm.errors import (
    AuthorityExists,
    BadArgument,
    BadCertificate,
    DriveExists,
    KeyInUse,
    QekmError,
    ReadOnly,
    UnknownAuthority,
    UnknownDrive,
    UnknownGroup,
    UnknownKey,
)
from qekm.model import KeyState
from qekm.v1 import drives_pb2 as pb
from qekm.v1 import keystore_pb2
from qekm_gateway.simulator.authority import make_authority
from tests.qekm.api.running import Running

SERIAL = "001300000392"
WWNN = bytes.fromhex("500308c09e4a1001")


def update(paths: list[str], **fields: object) -> pb.UpdateDriveRequest:
    """Return a request that changes these paths of the drive."""
    drive = pb.Drive(serial=SERIAL, **fields)  # type: ignore[arg-type]
    return pb.UpdateDriveRequest(drive=drive, update_mask=FieldMask(paths=paths))


async def create(run: Running, serial: str = SERIAL, **fields: object) -> pb.Drive:
    """Add a drive."""
    drive = pb.Drive(serial=serial, **fields)  # type: ignore[arg-type]
    return (await run.client.drives.CreateDrive(pb.CreateDriveRequest(drive=drive))).drive


def registry(run: Running) -> object:
    """Return the owner behind the service."""
    return run.service.owners.registry


async def test_a_drive_is_added_with_ten_digits_and_kept_with_two_leading_zeros(run: Running) -> None:
    drive = await create(run, "1300000392", wwnn=WWNN, vendor="IBM     ", product="ULT3580-TD4")
    assert (drive.serial, drive.state) == (SERIAL, pb.DRIVE_STATE_ACCEPTED)
    assert (drive.wwnn, drive.vendor) == (WWNN, "IBM")
    assert not drive.HasField("last_seen_time")
    found = await run.client.drives.GetDrive(pb.GetDriveRequest(serial="1300000392"))
    assert found.drive == drive
    assert [each.serial for each in run.store.load().drives] == [SERIAL]


async def test_a_drive_added_without_a_word_about_confirmation_must_confirm(run: Running) -> None:
    assert (await create(run)).confirm
    assert not (await create(run, "001310000363", confirm=False)).confirm


async def test_only_what_the_mask_names_changes(run: Running) -> None:
    await create(run, vendor="IBM", product="ULT3580-TD4")
    request = update(["product", "confirm"], vendor="HP", product="ULTRIUM", confirm=False)
    drive = (await run.client.drives.UpdateDrive(request)).drive
    assert (drive.vendor, drive.product, drive.confirm) == ("IBM", "ULTRIUM", False)
    record = (await run.records())[-1]
    assert (record.event, record.drive_serial, record.message) == (
        "rpc.UpdateDrive",
        SERIAL,
        "confirm, product",
    )


async def test_a_key_that_an_entry_names_leaves_the_pool_and_is_nobody_elses(run: Running) -> None:
    keys = (await run.client.keystore.ListKeys(keystore_pb2.ListKeysRequest(page_size=2))).keys
    await create(run, alias=keys[0].alias)
    (stored,) = (key for key in run.store.load().keys if key.alias == keys[0].alias)
    assert (stored.state, stored.drive_serial, stored.assign_time_us) == (KeyState.ASSIGNED, SERIAL, 0)
    with pytest.raises(KeyInUse):
        await create(run, "2", alias=keys[0].alias.lower())
    with pytest.raises(UnknownDrive):
        await run.client.drives.GetDrive(pb.GetDriveRequest(serial="2"))
    await run.client.drives.UpdateDrive(update(["alias"], alias=keys[1].alias))
    assert (await create(run, "2", alias=keys[0].alias)).alias == keys[0].alias  # it was never given out
    with pytest.raises(KeyInUse):
        await run.client.drives.UpdateDrive(update(["alias"], alias=keys[0].alias))


async def test_a_key_that_another_drive_was_given_is_no_drives_own(run: Running) -> None:
    keystore = run.service.owners.keystore
    key = keystore.page()[0]
    keystore.assign(key, 1, ("2", b"", "V1"))
    with pytest.raises(KeyInUse):
        await create(run, alias=key.alias)
    assert (await create(run, "2", alias=key.alias)).alias == key.alias


async def test_a_drives_key_is_kept_in_its_stored_spelling(run: Running) -> None:
    (key,) = (await run.client.keystore.ListKeys(keystore_pb2.ListKeysRequest(page_size=1))).keys
    assert (await create(run, alias=key.alias.lower())).alias == key.alias


async def test_ten_thousand_drives_are_listed_in_pages_by_serial(run: Running) -> None:
    owner = run.service.owners.registry
    for number in range(10_000):
        owner.enrol(Claim(f"{number:012}", number.to_bytes(8), "IBM", "ULT3580-TD4"), bytes(32))
    seen: list[str] = []
    request = pb.ListDrivesRequest(page_size=1_000)
    while True:
        page = await run.client.drives.ListDrives(request)
        assert page.total == 10_000
        seen += [drive.serial for drive in page.drives]
        if not (token := page.next_page_token):
            break
        request.page_token = token
    assert seen == [f"{number:012}" for number in range(10_000)]


async def test_pending_drives_are_listed_accepted_and_rejected(run: Running) -> None:
    owner = run.service.owners.registry
    for serial in (SERIAL, "001310000363"):
        await run.store.commit(owner.wait(Claim(serial, sha256(serial.encode()).digest()[:8], "IBM")))
    pending = await run.client.drives.ListDrives(pb.ListDrivesRequest(state=pb.DRIVE_STATE_PENDING))
    assert (len(pending.drives), pending.total) == (2, 2)
    accepted = (await run.client.drives.AcceptDrive(pb.AcceptDriveRequest(serial=SERIAL))).drive
    assert accepted.state == pb.DRIVE_STATE_ACCEPTED
    await run.client.drives.RejectDrive(pb.RejectDriveRequest(serial="001310000363"))
    left = await run.client.drives.ListDrives(pb.ListDrivesRequest())
    assert [drive.serial for drive in left.drives] == [SERIAL]
    assert [drive.serial for drive in run.store.load().drives] == [SERIAL]


async def test_a_deleted_drives_key_can_be_refused_for_good(run: Running) -> None:
    owner = run.service.owners.registry
    await run.store.commit([owner.enrol(Claim(SERIAL, WWNN), b"k" * 32)])
    await run.client.drives.DeleteDrive(pb.DeleteDriveRequest(serial=SERIAL, block=True))
    assert owner.is_blocked(b"k" * 32)
    stored = run.store.load()
    assert (stored.drives, [each.spki_sha256 for each in stored.blocked]) == ([], [b"k" * 32])


async def test_a_blocked_key_is_listed_and_can_be_used_again_after_it_was_unblocked(run: Running) -> None:
    owner, drives = run.service.owners.registry, run.client.drives
    await run.store.commit([owner.enrol(Claim(SERIAL, WWNN), b"k" * 32)])
    await drives.DeleteDrive(pb.DeleteDriveRequest(serial=SERIAL, block=True))
    (key,) = (await drives.ListBlockedKeys(pb.ListBlockedKeysRequest())).blocked_keys
    assert key.spki_sha256 == b"k" * 32
    assert key.HasField("create_time")
    await drives.UnblockKey(pb.UnblockKeyRequest(spki_sha256=key.spki_sha256))
    assert not owner.is_blocked(b"k" * 32)
    assert not run.store.load().blocked
    assert (await run.records())[-1].message == f"key {'6b' * 32}"
    with pytest.raises(UnknownDrive):
        await drives.UnblockKey(pb.UnblockKeyRequest(spki_sha256=key.spki_sha256))
    with pytest.raises(BadArgument):
        await drives.UnblockKey(pb.UnblockKeyRequest(spki_sha256=b"k"))


async def test_authorities_are_added_listed_and_removed(run: Running) -> None:
    assert not (await run.client.drives.ListAuthorities(pb.ListAuthoritiesRequest())).authorities
    made = make_authority(run.clock()).certificate
    for form in (Encoding.PEM, Encoding.DER):
        request = pb.CreateAuthorityRequest(certificate=made.public_bytes(form))
        if form is Encoding.PEM:
            authority = (await run.client.drives.CreateAuthority(request)).authority
            continue
        with pytest.raises(AuthorityExists):
            await run.client.drives.CreateAuthority(request)
    assert authority.fingerprint == sha256(made.public_bytes(Encoding.DER)).digest()
    listed = await run.client.drives.ListAuthorities(pb.ListAuthoritiesRequest())
    assert list(listed.authorities) == [authority]
    await run.client.drives.DeleteAuthority(pb.DeleteAuthorityRequest(fingerprint=authority.fingerprint))
    assert run.store.load().authorities == []


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.GetDriveRequest(serial="none"), UnknownDrive),
        (pb.CreateDriveRequest(drive=pb.Drive(serial=SERIAL)), DriveExists),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="other", wwnn=WWNN)), DriveExists),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="")), BadArgument),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x" * 17)), BadArgument),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="QEKMDIAG0001")), BadArgument),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", wwnn=b"short")), BadArgument),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", vendor="nine char")), BadArgument),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", group="none")), UnknownGroup),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", allowed_groups=["none"])), UnknownGroup),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", alias="QKM00000000000000FFFF")), UnknownKey),
        (pb.CreateDriveRequest(drive=pb.Drive(serial="x", label_mode=7)), BadArgument),  # type: ignore[arg-type]
        (update([]), BadArgument),
        (update(["state"]), BadArgument),
        (update(["serial"]), BadArgument),
        (update(["spki_sha256"], spki_sha256=bytes(32)), BadArgument),
        (update(["group"], group="none"), UnknownGroup),
        (pb.AcceptDriveRequest(serial=SERIAL), UnknownDrive),
        (pb.RejectDriveRequest(serial=SERIAL), UnknownDrive),
        (pb.DeleteDriveRequest(serial="none"), UnknownDrive),
        (pb.DeleteDriveRequest(serial=SERIAL, block=True), BadArgument),
        (pb.ListDrivesRequest(state=9), BadArgument),  # type: ignore[arg-type]
        (pb.CreateAuthorityRequest(certificate=b"rubbish"), BadCertificate),
        (pb.DeleteAuthorityRequest(fingerprint=bytes(32)), UnknownAuthority),
        (pb.DeleteAuthorityRequest(fingerprint=b"short"), BadArgument),
    ],
)
async def test_bad_requests_are_refused_and_change_nothing(
    run: Running, request_: object, error: type[QekmError]
) -> None:
    await create(run, wwnn=WWNN)
    before = await run.records()
    method = type(request_).__name__.removesuffix("Request")
    with pytest.raises(error):
        await getattr(run.client.drives, method)(request_)
    assert await run.records() == before


async def test_a_pin_can_be_emptied_so_that_the_drive_is_pinned_anew(run: Running) -> None:
    owner = run.service.owners.registry
    await run.store.commit([owner.enrol(Claim(SERIAL, WWNN), b"k" * 32)])
    drive = (await run.client.drives.UpdateDrive(update(["spki_sha256"]))).drive
    assert drive.spki_sha256 == b""


async def test_a_key_that_cannot_be_bound_leaves_the_entry_as_it_was(run: Running) -> None:
    key = run.service.owners.keystore.page(limit=1)[0]
    await create(run)
    run.service.owners.keystore.freeze("an old copy")
    with pytest.raises(ReadOnly):
        await run.client.drives.UpdateDrive(update(["alias"], alias=key.alias))
    with pytest.raises(ReadOnly):
        await create(run, "001300000393", alias=key.alias)
    assert [(drive.serial, drive.alias) for drive in run.service.owners.registry.entries()] == [(SERIAL, "")]
