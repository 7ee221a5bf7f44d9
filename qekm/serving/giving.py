"""After message 02 or 03: choose the key, record that it leaves, wrap it for this drive and this session."""

from __future__ import annotations

from qekm import audit
from qekm.allocator import check_allowed
from qekm.dkp.codes import Ask
from qekm.dkp.frame import Frame
from qekm.dkp.names import dki_to_alias
from qekm.dkp.pages import build_label, build_t10_label, build_wrapped_page
from qekm.dkp.signed import confirmation_key
from qekm.errors import PeerAway, PoolEmpty, StoreDamaged, UnknownKey
from qekm.keystore import never_given
from qekm.model import Drive, Key, KeyState, LabelMode, OnExhaustion, Outcome
from qekm.secret import Secret
from qekm.serving import replies
from qekm.serving.desk import Changes, Desk
from qekm.serving.sessions import Session, State

_ENCRYPT, _MIXED = 2, 3  # SSC-4: encryption mode ENCRYPT, decryption mode MIXED


def answer(desk: Desk, session: Session, now_us: int, changes: Changes) -> Frame:
    """Answer a drive that proved itself: SET_KEY, NO_KEY, or QUERY_DKI when it has yet to name its key."""
    if session.ask is Ask.TRANSLATE and session.dki is None:
        session.state = State.DKI
        return replies.query_dki(session)
    session.state = State.STATUS
    if session.diagnosis:
        return _give_test_key(desk, session, now_us, changes)
    if session.ask is Ask.OPTIONAL and desk.policy.clear_when_optional:
        changes.append(audit.key_withheld(now_us, session.subject))
        return replies.no_key(desk, session)
    drive = desk.registry.find(session.claim.serial)
    if session.dki is not None and session.ask in (Ask.TRANSLATE, Ask.ACQUIRE):
        return _serve(desk, session, drive, session.dki, now_us, changes)
    return _create(desk, session, drive, now_us, changes)


def suspect(desk: Desk, session: Session, now_us: int, reason: str, changes: Changes) -> None:
    """Put the key aside that a session got for writing, unless its fate is known or another session's."""
    if not session.created:
        return
    key = desk.keystore.by_alias(session.alias)
    if key.state is KeyState.ASSIGNED and key.assign_time_us == session.given_us:
        changes.append(desk.keystore.mark(key, KeyState.SUSPECT))
        changes.append(audit.key_suspected(now_us, session.subject, key.alias, reason))


def _serve(
    desk: Desk, session: Session, drive: Drive | None, dki: bytes, now_us: int, changes: Changes
) -> Frame:
    """Give the key that a cartridge names, in any state in which it opens: whoever may read can read."""
    key = desk.keystore.by_dki(dki)
    if key is None:
        raise UnknownKey("no key has this DKi", dki=dki.hex())
    check_allowed(drive, key.group)
    fresh = never_given(key)
    if fresh:
        desk.creations.take(session.claim.serial, desk.elapsed_us(), desk.policy.creations_per_hour)
    page = _wrap(desk, session, desk.keystore.open(key), dki, drive)
    flag = "the key is COMPROMISED" if key.state is KeyState.COMPROMISED else ""
    changes.append(audit.key_given(now_us, session.subject, key.alias, created=False, message=flag))
    if fresh:
        _put_aside(desk, session, key, now_us, changes)
    session.alias = key.alias
    # Named as the tape names it, should our alias differ from it in case: a drive compares bytes.
    return replies.set_key(desk, session, dki_to_alias(dki), page)


def _put_aside(desk: Desk, session: Session, key: Key, now_us: int, changes: Changes) -> None:
    """Take a never-given key out of the pool that a drive read by its name: it can write with it from now on.

    Names can be guessed; or a cartridge has it already, and this store is an old copy; or another server gave
    it and has not told yet.
    """
    if key.state is KeyState.GENERATED or desk.keystore.read_only or not desk.keystore.is_own(key):
        bound = key.state is KeyState.ASSIGNED  # kept for the drive whose entry names it
        changes.append(desk.keystore.mark(key, KeyState.SUSPECT if bound else KeyState.QUARANTINED))
    else:
        given = desk.keystore.assign(key, now_us, (session.claim.serial, b"", session.subject.volser))
        changes.append(desk.keystore.mark(given, KeyState.SUSPECT))
    reason = "a drive named it as a cartridge's key, but it was never given out"
    changes.append(audit.key_suspected(now_us, session.subject, key.alias, reason))


def _create(desk: Desk, session: Session, drive: Drive | None, now_us: int, changes: Changes) -> Frame:
    """Give a key to write with: the one that this mount was given before, else the next one."""
    keystore = desk.keystore
    if desk.is_alone():  # known before a key is taken, which would be nobody else's ever after
        raise PeerAway("no other server is connected: peers.strict=on")
    key = keystore.by_mount(session.mount) if session.mount_id else None
    if key is not None:
        check_allowed(drive, key.group)
        session.written = key.state is KeyState.ACTIVE
    else:
        key = _choose(desk, drive, now_us, changes)
        desk.creations.take(session.claim.serial, desk.elapsed_us(), desk.policy.creations_per_hour)
    page = _wrap(desk, session, _open_new(desk, session, key, now_us, changes), key.dki, drive)
    key = keystore.assign(key, now_us, session.mount)
    session.alias, session.created, session.given_us = key.alias, True, key.assign_time_us
    changes.append(key)
    changes.append(audit.key_given(now_us, session.subject, key.alias, created=True))
    before = desk.latest.get(session.claim.serial)
    if before is not None:  # the drive asks again: it gave that session up
        suspect(desk, before, now_us, "the drive asked for another key", changes)
    desk.latest[session.claim.serial] = session
    return replies.set_key(desk, session, key.alias, page)


def _choose(desk: Desk, drive: Drive | None, now_us: int, changes: Changes) -> Key:
    """Return the key of the next mount; for a refilled group that a burst emptied, one made on the spot."""
    try:
        return desk.allocator.choose(drive, desk.registry.names_key)
    except PoolEmpty as empty:
        group = desk.allocator.find(empty.details["group"])
        if group.on_exhaustion is not OnExhaustion.REFILL or desk.keystore.must_wait:
            raise
    (key,) = desk.keystore.generate(1, group.name)
    changes += (key, audit.keys_refilled(now_us, [key], group.name))
    return key


def _open_new(desk: Desk, session: Session, key: Key, now_us: int, changes: Changes) -> Secret:
    """Open a key to write with; a damaged one leaves the pool, so that the next request gets another."""
    try:
        return desk.keystore.open(key)
    except StoreDamaged as error:
        if key.state is KeyState.READY:
            changes.append(desk.keystore.mark(key, KeyState.QUARANTINED))
        changes.append(audit.key_damaged(now_us, session.subject, key.alias, error.message))
        raise


def _give_test_key(desk: Desk, session: Session, now_us: int, changes: Changes) -> Frame:
    """Give a gateway's test drive the key of the diagnosis, and no other."""
    test = desk.diagnosis
    assert test is not None
    if session.dki is not None and session.ask in (Ask.TRANSLATE, Ask.ACQUIRE) and session.dki != test.dki:
        raise UnknownKey("no key of the diagnosis has this DKi", dki=session.dki.hex())
    page = _wrap(desk, session, Secret(test.material.reveal()), test.dki, None)
    changes.append(audit.diagnosed(now_us, session.subject, test.alias, Outcome.INTENT))
    session.alias = test.alias
    return replies.set_key(desk, session, test.alias, page)


def _wrap(desk: Desk, session: Session, secret: Secret, dki: bytes, drive: Drive | None) -> bytes:
    """Return page 0010h with the key wrapped and bound to its label, and note what must confirm it."""
    identity, session_key = session.identity, session.session_key
    assert identity is not None
    assert session_key is not None
    wwnn = session.claim.wwnn
    if drive is not None and drive.label_mode is LabelMode.T10:
        label = build_t10_label(wwnn)
    else:
        label = build_label(
            wwnn,
            desk.signer.spki_sha256,
            session.id,
            session.sequence + 2,
            session.nonce,
            dki,
            identity.certificate_sha256,
        )
    with secret:
        material = secret.reveal()
        session.confirmation_key = confirmation_key(material, session.id)
        wrapped = session_key.wrap(material, label)
    session.must_confirm = drive is None or drive.confirm
    medium_is_known = bool(session.subject.volser or session.mount_id)
    return build_wrapped_page(
        medium_is_known, _ENCRYPT, _MIXED, session_key.parameter_set, label, wrapped, dki
    )
