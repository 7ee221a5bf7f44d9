"""Message 02: each check, in its order, and who is a stranger until the last of them has passed."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame, build
from qekm.dkp.pages import public_key_page
from qekm.dkp.signed import join_dsk_list, join_signature
from qekm.model import BlockedKey, Drive, DriveState
from qekm.signing import FrameSigner
from tests.fakes.drive import DriveSession, FakeDrive, session_key
from tests.fakes.drive_authority import SERVER, DriveAuthority
from tests.fakes.estate import Estate

RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
OTHER = FrameSigner(ec.generate_private_key(ec.SECP256R1()))


def began(estate: Estate, drive: FakeDrive | None = None) -> DriveSession:
    return estate.begin((drive or estate.drive()).session())


def with_signature_type(frame: Frame, sig_type: int) -> Frame:
    value = dict(frame.tlvs)[Tag.SIGNATURE]
    tlvs = [*frame.tlvs[:-1], (Tag.SIGNATURE, join_signature(sig_type, value[4:]))]
    return build(frame.type, frame.session_id, frame.sequence, tlvs)


@pytest.mark.parametrize("key", [RSA, P384, None], ids=["RSA", "P-384", "P-256"])
@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_drive_with_any_allowed_key_gets_its_data_key(key: rsa.RSAPrivateKey | None, bits: int) -> None:
    estate = Estate()
    session = estate.run(estate.drive(key=key, bits=bits).session())
    assert estate.keystore.open(estate.keystore.by_alias(session.alias)).reveal() == session.data_key


def page(exponent: int = 65537, modulus: int = 0) -> bytes:
    return public_key_page(modulus or session_key().public_key().public_numbers().n, exponent)


@pytest.mark.parametrize(
    "dsk_list",
    [
        b"",
        b"\0",
        b"\2" + bytes(100),
        join_dsk_list(1, page(), 4, bytes(64)) + b"extra",
        join_dsk_list(1, page()[:-1], 4, bytes(64)),
        join_dsk_list(1, page(2**32 + 1), 4, bytes(64)),
        join_dsk_list(1, page(2**2000 + 1), 4, bytes(64)),
        join_dsk_list(1, page(modulus=2**2047), 4, bytes(64)),
        join_dsk_list(1, b"", 4, bytes(64)),
    ],
    ids=["empty", "none", "two", "extra", "short", "exponent", "huge exponent", "even", "no page"],
)
def test_a_bad_session_key_is_ee2c_before_anything_else(dsk_list: bytes) -> None:
    estate = Estate()
    session = began(estate)
    assert estate.refused(session.reply_dsk(dsk_list=dsk_list, chain=[b"junk"])) == "EE2C"


def test_a_certificate_that_does_not_hold_is_ee2b() -> None:
    estate = Estate()
    drive = estate.drive()
    public = drive.key.public_key()
    ended = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    chains = [
        [b"junk"],
        DriveAuthority().name(drive.serial, public),
        estate.authority.name("001310000363", public),
        estate.authority.name(drive.serial, public, (SERVER,)),
        estate.authority.name(drive.serial, public, end=ended),
        estate.authority.name(drive.serial, public, filler=4_096),
        estate.chain,
        estate.tests.name(drive.serial, public),
    ]
    for chain in chains:
        session = began(estate, drive)
        assert estate.refused(session.reply_dsk(chain=chain)) == "EE2B"


def test_a_blocked_key_is_ee2b() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    changes = estate.registry.delete(drive.serial, block=True)
    assert isinstance(changes[1], BlockedKey)
    assert estate.refused(began(estate, drive).reply_dsk()) == "EE2B"
    assert estate.refused(began(estate, estate.drive()).reply_dsk()) == ""  # a new key of the same drive


def test_an_authority_that_is_removed_is_ee2b_at_once_although_the_chain_was_proved() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    session = began(estate, drive)
    estate.registry.remove_authority(b"f")
    assert estate.refused(session.reply_dsk()) == "EE2B"


@pytest.mark.parametrize("sig_type", [0, 1, 2, 3, 5, 0xFFFF])
def test_a_signature_type_that_does_not_fit_the_certificate_is_ee2e(sig_type: int) -> None:
    estate = Estate()
    session = began(estate)
    assert estate.refused(with_signature_type(session.reply_dsk(), sig_type)) == "EE2E"
    session = began(estate)
    dsk_list = join_dsk_list(7, page(), sig_type, bytes(64))
    assert estate.refused(session.reply_dsk(dsk_list=dsk_list)) == "EE2E"


def test_both_signature_types_are_looked_at_before_either_signature() -> None:
    estate = Estate()
    session = began(estate)
    frame = session.reply_dsk(dsk_signer=OTHER)
    assert estate.refused(with_signature_type(frame, 2)) == "EE2E"


def test_a_session_key_signed_by_another_is_ee2b() -> None:
    estate = Estate()
    session = began(estate)
    assert estate.refused(session.reply_dsk(dsk_signer=OTHER, signer=OTHER)) == "EE2B"  # before EE29


def test_a_session_key_signed_for_another_serial_is_ee2b() -> None:
    estate = Estate()
    first, second = estate.drive(), estate.drive("001310000363")
    second.key, second.signer = first.key, first.signer
    second.chain = estate.authority.name(second.serial, first.key.public_key())
    begun = began(estate, first).reply_dsk()
    assert estate.refused(began(estate, second).reply_dsk(dsk_list=begun.get(Tag.DSK_LIST))) == "EE2B"


def test_a_message_signed_by_another_is_ee29() -> None:
    estate = Estate()
    assert estate.refused(began(estate).reply_dsk(signer=OTHER)) == "EE29"


@pytest.mark.parametrize("alter", ["notify", "challenge", "nonce"])
def test_a_signature_covers_every_frame_of_the_session(alter: str) -> None:
    estate = Estate()
    session = estate.drive().session()
    if alter == "notify":
        frame = session.notify()
        tlvs = [(tag, b"OTHER" if tag == Tag.VOLSER else value) for tag, value in frame.tlvs]
        session.take(estate.ask(build(frame.type, 0, 1, tlvs)))
        assert estate.refused(session.reply_dsk()) == "EE29"
    elif alter == "challenge":
        reply = estate.ask(session.notify())
        tlvs = [(tag, bytes(32) if tag == Tag.CHALLENGE else value) for tag, value in reply.tlvs]
        session.take(build(reply.type, reply.session_id, reply.sequence, tlvs))
        assert estate.refused(session.reply_dsk()) == "EE29"
    else:
        estate.begin(session)
        frame = session.reply_dsk()
        tlvs = [
            (tag, value[:4] + bytes(32) if tag == Tag.RANDOM_NUMBER else value) for tag, value in frame.tlvs
        ]
        assert estate.refused(build(frame.type, frame.session_id, frame.sequence, tlvs)) == "EE29"


def test_a_drive_whose_entry_has_another_key_is_ee25() -> None:
    estate = Estate()
    estate.run(estate.drive().session())
    assert estate.refused(began(estate, estate.drive()).reply_dsk()) == "EE25"
    estate.registry.update("001300000392", spki_sha256=b"")
    assert estate.refused(began(estate, estate.drive()).reply_dsk()) == ""


def test_what_the_registry_says_now_counts() -> None:
    estate = Estate()
    session = began(estate)
    estate.registry.create(Drive("001300000392", DriveState.ACCEPTED, 1, wwnn=b"another!"))
    assert estate.refused(session.reply_dsk()) == "EE25"


def test_a_session_key_is_verified_once_and_remembered_for_its_signer_only() -> None:
    estate = Estate()
    drive = estate.drive()
    dsk_list = began(estate, drive).reply_dsk().get(Tag.DSK_LIST)
    for _ in range(2):
        session = began(estate, drive)
        session.take(estate.ask(session.reply_dsk(dsk_list=dsk_list)))
    assert len(estate.serving._desk.proved) == 1
    renewed = estate.drive()  # the same drive with a new certificate brings the old list
    assert estate.refused(began(estate, renewed).reply_dsk(dsk_list=dsk_list)) == "EE2B"


def test_strangers_take_no_memory_for_session_keys() -> None:
    estate = Estate()
    estate.refused(began(estate).reply_dsk(signer=OTHER))
    assert not estate.serving._desk.proved


def test_before_the_signature_has_passed_refusals_are_a_strangers_and_counted() -> None:
    estate = Estate()
    for _ in range(5):
        assert estate.refused(began(estate).reply_dsk(signer=OTHER)) == "EE29"
    assert [(record.actor, record.code) for record in estate.disk.trail] == [("host 10.0.0.1", "EE29")]


def test_after_it_they_are_the_drives_own_and_counted_too() -> None:
    estate = Estate(keys=0)
    for serial in ("1", "2"):
        for _ in range(5):
            assert estate.refused(began(estate, estate.drive(serial)).reply_dsk()) == "EE31"
    assert [(record.actor, record.code, record.count) for record in estate.disk.trail] == [
        ("drive/1", "EE31", 1),
        ("drive/2", "EE31", 1),
    ]
    estate.now += 60_000_000
    estate.disk.commit(estate.serving.expire())
    assert [(record.actor, record.count) for record in estate.disk.trail[2:]] == [
        ("drive/1", 4),
        ("drive/2", 4),
    ]


def test_a_drive_that_goes_on_after_its_last_key_of_the_hour_does_not_fill_the_trail() -> None:
    estate = Estate(settings={"drive.creationsPerHour": 1})
    drive = estate.drive()
    estate.run(drive.session())
    before = len(estate.disk.trail)
    for _ in range(50):
        assert estate.refused(began(estate, drive).reply_dsk()) == "EE34"
    estate.disk.commit(estate.serving.drain())
    assert [(record.code, record.count) for record in estate.disk.trail[before:]] == [
        ("EE34", 1),
        ("EE34", 49),
    ]
