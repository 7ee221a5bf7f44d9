"""What an attacker on the wire can try, frame by frame; each beside the honest session that it alters."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from qekm.dkp.codes import good_sense, sense
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame, build, serialize
from qekm.dkp.pages import parse_set_data_encryption, public_key_page, split_wrapped_key
from qekm.dkp.signed import SERVER, join_dsk_list, join_signature, signature_of, signed_bytes
from qekm.model import AuditRecord, KeyState, Outcome
from qekm.signing import FrameSigner
from tests.fakes.drive import CREATE, TRANSLATE, FakeDrive, session_key, verifier_of
from tests.fakes.estate import Estate


def altered(frame: Frame, **changes: object) -> Frame:
    """Return a frame with other TLVs (tag -> value, None to take it out) or another head."""
    values = changes.pop("tlvs", {})
    assert isinstance(values, dict)
    tlvs = [(tag, values.get(tag, value)) for tag, value in frame.tlvs if values.get(tag, value) is not None]
    head = {"type": frame.type, "session_id": frame.session_id, "sequence": frame.sequence} | changes
    return build(head["type"], head["session_id"], head["sequence"], tlvs)  # type: ignore[arg-type]


def test_another_drives_certificate_does_not_help_without_its_key() -> None:
    estate = Estate()
    victim, thief = estate.drive(), estate.drive("001310000363")
    estate.run(victim.session())
    # As itself with the victim's certificate; as the victim with its own; as the victim with the victim's.
    session = estate.begin(thief.session())
    assert estate.refused(session.reply_dsk(chain=victim.chain)) == "EE2B"
    posing = FakeDrive(estate.authority, victim.serial, thief.key, victim.wwnn)
    posing.chain = thief.chain
    assert estate.refused(estate.begin(posing.session()).reply_dsk()) == "EE2B"
    posing.chain = victim.chain
    assert estate.refused(estate.begin(posing.session()).reply_dsk()) == "EE2B"  # the session key's signature


def test_another_drives_wwnn_and_signed_session_key_do_not_help_either() -> None:
    estate = Estate()
    victim = estate.drive()
    session = estate.begin(victim.session())
    stolen = session.reply_dsk()
    session.take(estate.ask(stolen))
    session.take(estate.ask(session.status()))
    thief = estate.drive("001310000363", wwnn=victim.wwnn)
    assert estate.refused(thief.session().notify()) == "EE25"
    thief = estate.drive("001310000363")
    begun = estate.begin(thief.session())
    assert estate.refused(begun.reply_dsk(dsk_list=stolen.get(Tag.DSK_LIST))) == "EE2B"
    # Posing as the victim with all it ever sent: the challenge is fresh.
    posing = FakeDrive(estate.authority, victim.serial, thief.key, victim.wwnn)
    posing.chain = victim.chain
    begun = estate.begin(posing.session())
    assert estate.refused(begun.reply_dsk(dsk_list=stolen.get(Tag.DSK_LIST))) == "EE29"


def test_a_new_certificate_for_an_enrolled_serial_is_refused_by_the_pin() -> None:
    estate = Estate()
    estate.run(estate.drive().session())
    impostor = estate.drive()  # the same authority names another key
    assert estate.refused(estate.begin(impostor.session()).reply_dsk()) == "EE25"


def test_a_frame_of_an_old_session_is_refused_in_a_new_one() -> None:
    estate = Estate()
    drive = estate.drive()
    old = estate.begin(drive.session())
    old_reply = old.reply_dsk()
    old.take(estate.ask(old_reply))
    old_status = old.status()
    old.take(estate.ask(old_status))
    new = estate.begin(drive.session())
    assert estate.refused(altered(old_reply, session_id=new.session_id)) == "EE29"
    new = estate.give(drive.session())
    assert estate.refused(altered(old_status, session_id=new.session_id)) == "EE29"
    assert estate.refused(old_status) == "EE2D"


def test_a_status_that_was_altered_is_refused() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    failed = session.status(installed=False)
    assert estate.refused(altered(failed, tlvs={Tag.SENSE: good_sense()})) == "EE29"
    assert estate.keystore.by_alias(session.alias).state is KeyState.SUSPECT


def test_a_confirmation_cannot_be_stripped_or_carried_over() -> None:
    estate = Estate()
    drive = estate.drive()
    session = estate.give(drive.session())
    assert estate.refused(altered(session.status(), tlvs={Tag.KEY_CONFIRMATION: None})) == "EE29"
    first, second = estate.give(drive.session()), estate.begin(drive.session())
    stolen = first.status()
    second.take(estate.ask(second.reply_dsk()))
    honest = second.status()
    carried = {Tag.KEY_CONFIRMATION: stolen.get(Tag.KEY_CONFIRMATION)}
    assert estate.refused(altered(honest, tlvs=carried)) == "EE29"


def test_a_drive_that_could_not_unwrap_cannot_claim_that_it_did() -> None:
    """The key went to another session key than the drive's: it can sign, but has nothing to confirm with."""
    estate = Estate()
    session = estate.begin(estate.drive().session())
    numbers = session_key(1).public_key().public_numbers()
    session.sent(estate.ask(session.reply_dsk(page=public_key_page(numbers.n, numbers.e))))
    assert estate.refused(session.status(confirm=True, key=bytes(32))) == "EE29"


@pytest.mark.parametrize("sig_type", [0, 1, 2, 3, 5])
def test_a_signature_type_cannot_be_downgraded(sig_type: int) -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    good = session.reply_dsk()
    value = good.get(Tag.SIGNATURE) or b""
    frame = altered(good, tlvs={Tag.SIGNATURE: join_signature(sig_type, value[4:])})
    assert estate.refused(frame) == "EE2E"


def test_a_session_key_of_another_type_cannot_be_slipped_in() -> None:
    estate = Estate()
    drive = estate.drive()
    session = estate.begin(drive.session())
    good = session.reply_dsk()
    numbers = session_key(1).public_key().public_numbers()
    weak = public_key_page(numbers.n, numbers.e)
    for page in (weak, public_key_page(numbers.n, 3), public_key_page(numbers.n, 2**2000 + 1)):
        forged = join_dsk_list(7, page, 4, bytes(64))
        code = estate.refused(altered(good, tlvs={Tag.DSK_LIST: forged}))
        assert code == ("EE2B" if page == weak else "EE2C")
        session = estate.begin(drive.session())
        good = session.reply_dsk()


def test_what_is_asked_cannot_be_altered_under_way() -> None:
    """A translation turned into a creation, or one tape's key into another's: the next signature fails."""
    estate = Estate()
    first, second = estate.keystore.page(limit=2)
    drive = estate.drive()
    for tag, value in ((Tag.SENSE, sense(7, CREATE)), (Tag.DKI, second.dki)):
        session = drive.session(ask=TRANSLATE, dki=first.dki)
        frame = session.notify()
        session.take(estate.ask(altered(frame, tlvs={tag: value})))
        assert estate.refused(session.reply_dsk()) == "EE29"


def test_a_question_for_the_dki_that_the_server_did_not_ask_breaks_the_transcript() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session(ask=TRANSLATE))
    reply = estate.ask(session.reply_dsk())
    session.take(altered(reply))
    answer = session.reply_dki(estate.keystore.page()[0].dki)
    other = estate.keystore.page()[1].dki
    assert estate.refused(altered(answer, tlvs={Tag.DKI: other})) == "EE29"


def test_a_set_key_for_one_drive_is_of_no_use_to_another() -> None:
    """The label names drive, session, frame, DKi, certificate; the frame's signature covers the session."""
    estate = Estate()
    victim, thief = estate.drive(), estate.drive("001310000363")
    session = estate.begin(victim.session())
    frame = estate.ask(session.reply_dsk())
    session.take(frame)
    own = estate.give(thief.session())
    page = parse_set_data_encryption(frame.get(Tag.SET_DATA_ENCRYPTION) or b"")
    _, label, _ = split_wrapped_key(page.key)
    assert label == session.full_label
    assert label != own.full_label
    server = verifier_of(estate.chain[0])
    kind, signature = signature_of(frame)
    assert not server.verify(kind, signature, signed_bytes(SERVER, own.earlier, frame))


def test_a_rogue_server_has_no_signature_under_the_servers_key() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    good = estate.ask(session.reply_dsk())
    rogue = FrameSigner(ec.generate_private_key(ec.SECP256R1()))
    sig_type, signature = rogue.sign(signed_bytes(SERVER, session.earlier, good))
    with pytest.raises(AssertionError):
        session.take(altered(good, tlvs={Tag.SIGNATURE: join_signature(sig_type, signature)}))


def test_the_servers_own_certificate_is_no_drives() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    assert (
        estate.refused(session.reply_dsk(chain=estate.chain, signer=FrameSigner(estate.server_key))) == "EE2B"
    )


def test_a_servers_signature_is_no_clients() -> None:
    """Both sides' signatures begin with who signs, so neither can be sent back."""
    estate = Estate()
    drive = estate.drive()
    session = estate.begin(drive.session())
    frame = session.reply_dsk()
    covered = signed_bytes(SERVER, session.earlier[: -len(serialize(frame))], frame)
    sig_type, signature = drive.signer.sign(covered)
    assert estate.refused(altered(frame, tlvs={Tag.SIGNATURE: join_signature(sig_type, signature)})) == "EE29"


def test_an_error_in_place_of_an_answer_is_no_message_of_a_client() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    error = build(MessageType.ERROR, session.session_id, session.sequence + 1, [])
    assert estate.refused(error) == "EE2D"


def test_no_key_leaves_before_its_record() -> None:
    """In every decision that answers with a key, the INTENT that names it is among the changes."""
    estate = Estate()
    dki = estate.keystore.page()[0].dki
    drive = estate.drive()
    for begun in (drive.session(), drive.session(mount_id=bytes(16)), drive.session(ask=TRANSLATE, dki=dki)):
        decision = estate.serving.decide(estate.begin(begun).reply_dsk(), "10.0.0.1:1", "g1")
        assert isinstance(decision.reply, Frame)
        assert decision.reply.type == MessageType.SET_KEY
        alias = (decision.reply.get(Tag.KEY_ALIAS) or b"").decode()
        records = [change for change in decision.changes if isinstance(change, AuditRecord)]
        assert (alias, Outcome.INTENT) in [(record.alias, record.outcome) for record in records]
