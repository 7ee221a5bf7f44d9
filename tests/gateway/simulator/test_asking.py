"""A drive's session: what it gets from an honest key manager, and what it refuses from any other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from qekm.dkp.codes import Ask, Code, sense
from qekm.dkp.frame import MessageType, Tag, build, parse, serialize
from qekm.dkp.names import alias_to_dki
from qekm.dkp.pages import next_block_status_page
from qekm_gateway.simulator.anchors import Anchors, Untrusted
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Refused
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.signatures import Signer
from tests.fakes.key_manager import KeyManager, Lies, Played, altered, certify
from tests.gateway.simulator.rig import CREATE, MOUNT, authority, fresh_drive, made_drive, play, session

OTHER = "QKM00FFFFFFFFFF000001"


@pytest.mark.parametrize("rsa_key", [False, True], ids=["P-256", "RSA-2048"])
def test_a_drive_gets_a_key_and_proves_it(rsa_key: bool) -> None:
    manager, drive = KeyManager(), fresh_drive(rsa_key=rsa_key)
    outcome = play(manager, drive)
    assert outcome is not None
    assert outcome.key is not None
    assert outcome.key is drive.key
    assert outcome.confirmed
    assert not outcome.in_clear
    assert manager.keys[outcome.key.alias] == outcome.key.material
    assert manager.confirmed == [outcome.key.alias]


def test_the_first_frame_is_the_published_vector() -> None:
    drive = fresh_drive()
    drive.wwnn = bytes.fromhex("500308c09e4a1001")
    frame = session(KeyManager(), drive, Errand(Ask.CREATE, volser="E01001L4")).begin()
    assert frame.hex() == (
        "51454b4d01010000000000000000000000000001000000660101000c3030313330303030303339320102000850"
        "0308c09e4a10010103000849424d202020202001040010554c54333538302d54443420202020200105000437"
        "374245010600084530313030314c3401700012700007000000000a00000000ef1100000000"
    )


def test_a_retry_of_the_same_mount_gets_the_same_key() -> None:
    manager, drive = KeyManager(), fresh_drive()
    first, second = play(manager, drive), play(manager, drive)
    assert first is not None
    assert second is not None
    assert first.key == second.key


def test_a_translation_that_names_its_key_by_the_page_gets_that_key() -> None:
    manager = KeyManager(keys={OTHER: os.urandom(32)})
    errand = Errand(Ask.TRANSLATE, mount_id=MOUNT, status_page=next_block_status_page(6, alias_to_dki(OTHER)))
    outcome = play(manager, fresh_drive(), errand)
    assert outcome is not None
    assert outcome.key is not None
    assert outcome.key.alias == OTHER


def test_a_drive_names_its_key_late_when_it_is_asked() -> None:
    manager = KeyManager(keys={OTHER: os.urandom(32)})
    errand = Errand(Ask.TRANSLATE, mount_id=MOUNT, dki=alias_to_dki(OTHER), late=True)
    outcome = play(manager, fresh_drive(), errand)
    assert outcome is not None
    assert outcome.confirmed
    assert manager.notifies[0].get(Tag.DKI) is None


@pytest.mark.parametrize("named", [True, False])
def test_an_acquisition_gets_the_named_key_or_a_new_one(named: bool) -> None:
    manager = KeyManager(keys={OTHER: os.urandom(32)})
    outcome = play(manager, fresh_drive(), Errand(Ask.ACQUIRE, dki=alias_to_dki(OTHER) if named else b""))
    assert outcome is not None
    assert outcome.key is not None
    assert (outcome.key.alias == OTHER) is named


def test_a_no_operation_ends_with_complete_and_no_key() -> None:
    outcome = play(KeyManager(), drive := fresh_drive(), Errand(Ask.NO_OPERATION))
    assert outcome is not None
    assert outcome.key is None
    assert not outcome.confirmed
    assert drive.key is None


def test_no_key_after_an_optional_request_means_clear_and_is_confirmed() -> None:
    manager, drive = KeyManager(no_key=True), fresh_drive()
    outcome = play(manager, drive, replace(CREATE, ask=Ask.OPTIONAL))
    assert outcome is not None
    assert outcome.in_clear
    assert outcome.confirmed
    assert outcome.key is None
    assert drive.key is None


def test_a_refusal_names_the_number_and_its_twin() -> None:
    with pytest.raises(Refused) as caught:
        play(KeyManager(refuse=Code.EF01), fresh_drive())
    assert caught.value.number == 0xEF01
    assert caught.value.triple == "07/74/64"
    assert "EF01" in str(caught.value)


def test_a_key_that_cannot_be_unwrapped_is_reported_and_not_set() -> None:
    manager, drive = KeyManager(lies=Lies(wrapped=lambda wrapped: bytes(len(wrapped)))), fresh_drive()
    outcome = play(manager, drive)
    assert outcome is not None
    assert outcome.key is None
    assert not outcome.in_clear
    assert drive.key is None
    assert manager.statuses == [sense(5, 0x740C)]


def test_a_drive_that_cannot_install_a_key_says_so_without_a_proof() -> None:
    class Stubborn(Drive):
        def install(self, key: InstalledKey, errand: Errand) -> bytes:
            return sense(5, 0x7407)

    made = made_drive()
    drive = Stubborn(made.serial, made.wwnn, made.signer, made.certificates, session_key=made.session_key)
    manager = KeyManager()
    outcome = play(manager, drive)
    assert outcome is not None
    assert outcome.key is None
    assert outcome.confirmed
    assert manager.confirmed == []


def test_every_installed_key_is_recorded_before_the_key_manager_hears_of_it() -> None:
    manager, drive = KeyManager(), fresh_drive()
    seen: list[tuple[str, int]] = []
    drive.record = lambda key, errand: seen.append((key.alias, len(manager.statuses)))
    play(manager, drive)
    assert seen == [(next(iter(manager.keys)), 0)]


# What is refused: no key may be set by any of these.


def page_offset(label: bytes, kind: int) -> int:
    """Find where a label descriptor's data begins."""
    offset = 0
    while label[offset] != kind:
        offset += 4 + int.from_bytes(label[offset + 2 : offset + 4])
    return offset + 4


def flip_descriptor(kind: int, at: int = 0) -> Callable[[bytes], bytes]:
    """Return a lie that flips one bit of one label descriptor."""

    def lie(label: bytes) -> bytes:
        place = page_offset(label, kind) + at
        return label[:place] + bytes((label[place] ^ 1,)) + label[place + 1 :]

    return lie


def flip_last_bit(raw: bytes) -> bytes:
    """Alter the last bit of a frame: of its signature, if it has one."""
    return raw[:-1] + bytes((raw[-1] ^ 1,))


LABEL_LIES = {
    "another drive's WWNN": Lies(label=flip_descriptor(0x00)),
    "another server's key": Lies(label=flip_descriptor(0x01)),
    "another session": Lies(label=flip_descriptor(0x02)),
    "another sequence": Lies(label=flip_descriptor(0x02, 11)),
    "another nonce": Lies(label=flip_descriptor(0x02, 12)),
    "another key": Lies(label=flip_descriptor(0x03)),
    "another length": Lies(label=flip_descriptor(0x04)),
    "another drive's certificate": Lies(label=flip_descriptor(0x80)),
    "no label": Lies(label=lambda label: b""),
    "half a label": Lies(label=lambda label: label[:12]),
}
OTHER_LIES = {
    "an alias that is not the A-KAD": Lies(alias=lambda alias: OTHER),
    "something that is no alias": Lies(alias=lambda alias: "x"),
    "decrypt only where writing was asked": Lies(modes=(0, 2)),
    "no encryption": Lies(modes=(0, 0)),
    "decryption without mixed": Lies(modes=(2, 2)),
    "another session id": Lies(before_signing=lambda frame: replace(frame, session_id=frame.session_id ^ 1)),
    "a sequence number too high": Lies(before_signing=lambda key: replace(key, sequence=key.sequence + 2)),
    "a signature that does not fit": Lies(sent=lambda raw: flip_last_bit(raw) if raw[5] == 0x84 else raw),
    "bytes that are no frame": Lies(sent=lambda raw: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a frame cut short": Lies(sent=lambda raw: raw[:-1]),
}


@pytest.mark.parametrize("lies", (LABEL_LIES | OTHER_LIES).values(), ids=(LABEL_LIES | OTHER_LIES).keys())
def test_no_key_is_set_by_a_server_that_sends(lies: Lies) -> None:
    manager, drive = KeyManager(lies=lies), fresh_drive()
    with pytest.raises(Untrusted):
        play(manager, drive)
    assert drive.key is None
    assert manager.confirmed == []


def test_another_key_than_the_one_named_is_refused() -> None:
    class Swapping(KeyManager):
        def choose(self, ask: Ask, mount_id: bytes, dki: bytes | None) -> str:
            return "QKM00EEEEEEEEEE000001"

    manager = Swapping(keys={"QKM00EEEEEEEEEE000001": os.urandom(32), OTHER: os.urandom(32)})
    drive = fresh_drive()
    for errand in (
        Errand(Ask.TRANSLATE, dki=alias_to_dki(OTHER)),
        Errand(Ask.TRANSLATE, dki=alias_to_dki(OTHER), late=True),
        Errand(Ask.ACQUIRE, dki=alias_to_dki(OTHER)),
        Errand(Ask.TRANSLATE, status_page=next_block_status_page(6, alias_to_dki(OTHER))),
    ):
        with pytest.raises(Untrusted, match="another key"):
            play(manager, drive, errand)
        assert drive.key is None


@pytest.mark.parametrize("ask", [Ask.CREATE, Ask.TRANSLATE, Ask.ACQUIRE])
def test_no_key_is_believed_only_after_an_optional_request(ask: Ask) -> None:
    class Downgrading(Played):
        def _set_key(self, frame: Any, dki: bytes | None, raw: bytes) -> Any:
            return build(MessageType.NO_KEY, self._session_id, frame.sequence + 1, ())

    manager, drive = KeyManager(keys={OTHER: os.urandom(32)}), fresh_drive()
    asking, played = session(manager, drive, Errand(ask, dki=alias_to_dki(OTHER))), Downgrading(manager)
    reply = asking.receive(played.answer(asking.begin()) or b"")
    with pytest.raises(Untrusted):
        asking.receive(played.answer(reply or b"") or b"")
    assert asking.outcome is None


def test_an_error_in_place_of_the_key_sets_no_key() -> None:
    manager, drive = KeyManager(), fresh_drive()
    asking, played = session(manager, drive), Played(manager)
    asking.receive(played.answer(asking.begin()) or b"")
    error = bytes.fromhex(
        "51454b4d01ff00000000000000000000000000020000002c01700012700005000000000a00000000ef010000"
        "000001710012700007000000000a00000000746400000000"
    )
    with pytest.raises(Refused):
        asking.receive(error)
    assert drive.key is None


@pytest.mark.parametrize("loss", ["error", "nothing", "forged", "junk"])
def test_once_a_key_is_installed_nothing_takes_it_away(loss: str) -> None:
    manager, drive = KeyManager(), fresh_drive()
    asking, played = session(manager, drive), Played(manager)
    reply = asking.receive(played.answer(asking.begin()) or b"") or b""
    status = asking.receive(played.answer(reply) or b"") or b""
    complete = played.answer(status) or b""
    if loss == "error":
        assert asking.receive(played.answer(status) or b"") is None
    elif loss == "forged":
        assert asking.receive(flip_last_bit(complete)) is None
    elif loss == "junk":
        assert asking.receive(b"junk") is None
    assert asking.outcome is not None
    assert not asking.outcome.confirmed
    assert asking.outcome.note
    assert drive.key is asking.outcome.key is not None


def test_a_recorded_session_cannot_be_replayed_to_the_drive() -> None:
    manager, drive = KeyManager(), fresh_drive()
    recorded: list[bytes] = []
    manager.lies = Lies(sent=lambda raw: recorded.append(raw) or raw)  # type: ignore[func-returns-value]
    play(manager, drive)
    drive.clear()
    asking = session(manager, drive)
    asking.begin()
    assert asking.receive(recorded[0]) is not None
    with pytest.raises(Untrusted):
        asking.receive(recorded[1])
    assert drive.key is None


def test_a_server_that_is_not_anchored_is_not_answered() -> None:
    manager, drive = KeyManager(), fresh_drive()
    asking = session(manager, drive, anchors=Anchors([bytes(32)]))
    query = Played(manager).answer(asking.begin()) or b""
    with pytest.raises(Untrusted, match="no anchor"):
        asking.receive(query)


def test_another_drives_certificate_never_stands_for_a_server() -> None:
    thief = made_drive("001310000363")
    manager = KeyManager()
    assert isinstance(thief.signer.private, ec.EllipticCurvePrivateKey)
    manager.chain, manager.signer = thief.certificates, Signer(thief.signer.private)
    with pytest.raises(Untrusted, match="extended key usage"):
        play(manager, fresh_drive(), anchors=Anchors(authorities=[authority().certificate]))


def test_an_altered_frame_of_the_drive_is_noticed_by_the_next_signature() -> None:
    """What the server signs covers what it got: a volser changed on the way fails the drive's check."""
    manager, drive = KeyManager(), fresh_drive()
    asking, played = session(manager, drive), Played(manager)
    notify = parse(asking.begin())
    forged = serialize(altered(notify, Tag.VOLSER, b"E09999L4"))
    reply = asking.receive(played.answer(forged) or b"") or b""
    # The server notices first; its refusal is an ERROR, and no key is set.
    with pytest.raises(Refused):
        asking.receive(played.answer(reply) or b"")
    assert drive.key is None


def test_a_key_from_a_server_with_an_unanchored_chain_is_refused_even_if_the_ca_is_real() -> None:
    manager = KeyManager()
    stranger = ec.generate_private_key(ec.SECP256R1())
    leaf = certify(stranger, ExtendedKeyUsageOID.SERVER_AUTH)
    manager.chain = (leaf.public_bytes(Encoding.DER), manager.ca.public_bytes(Encoding.DER))
    manager.signer = Signer(stranger)
    with pytest.raises(Untrusted):
        play(manager, fresh_drive(), anchors=Anchors(authorities=[manager.ca]))


def test_the_t10_label_is_taken_only_by_a_drive_that_is_set_so() -> None:
    short = Lies(label=lambda label: label[:12] + b"\x04\x00\x00\x02\x01\x00")
    manager, drive = KeyManager(lies=short), fresh_drive()
    with pytest.raises(Untrusted):
        play(manager, drive)
    drive.t10_label = True
    outcome = play(manager, drive)
    assert outcome is not None
    assert outcome.confirmed
