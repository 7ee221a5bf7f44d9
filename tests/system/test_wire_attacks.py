"""Attacks by someone on the wire: frames altered, dropped, replayed, or made to look weaker.

Each is noticed by whoever gets the frame, sets no key and takes none away; after every test a good exchange
of the same drive must succeed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.dkp.codes import Ask, Code, Fault, good_sense, sense
from qekm.dkp.frame import Frame, MessageType, Tag, build, error_frame, parse, serialize
from qekm_gateway.simulator.anchors import Untrusted, load_anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.errand import Errand, Outcome, Refused
from qekm_gateway.simulator.link import Connection, NoAnswer, Server, ping
from tests.system.attacking import (
    Failing,
    Guessing,
    Site,
    Typed,
    Unproving,
    forger,
    now_us,
    on,
    with_tlv,
)
from tests.system.interception import intercepting
from tests.system.processes import made

# Someone on the wire.


def is_unconfirmed(site: Site, outcome: Outcome, code: Code) -> bool:
    """Tell whether the drive kept its key while the key manager refused the status."""
    return not outcome.confirmed and f"{code:04X}" in outcome.note and site.drive.key is outcome.key


def test_an_altered_status_is_ee29(site: Site) -> None:
    lie = on(MessageType.KEY_STATUS, lambda frame: with_tlv(frame, Tag.SENSE, sense(5, 0x740C)))
    outcome = site.cut(from_drive=lie)
    assert outcome.key is not None
    assert is_unconfirmed(site, outcome, Code.EE29)


def test_a_failure_made_to_look_good_is_ee29(site: Site) -> None:
    lie = on(MessageType.KEY_STATUS, lambda frame: with_tlv(frame, Tag.SENSE, good_sense()))
    outcome = site.cut(from_drive=lie, session=Failing)
    assert outcome.key is None
    assert is_unconfirmed(site, outcome, Code.EE29)


def test_a_stripped_confirmation_is_ee29(site: Site) -> None:
    lie = on(MessageType.KEY_STATUS, lambda frame: with_tlv(frame, Tag.KEY_CONFIRMATION, None))
    outcome = site.cut(from_drive=lie)
    assert is_unconfirmed(site, outcome, Code.EE29)


@pytest.mark.parametrize("session", [Unproving, Guessing])
def test_a_signed_status_without_the_right_proof_is_ee29(site: Site, session: type[Session]) -> None:
    outcome = site.ask(session=session)
    assert is_unconfirmed(site, outcome, Code.EE29)


def test_an_altered_notify_is_ee29(site: Site) -> None:
    lie = on(MessageType.DRIVER_ERROR_NOTIFY, lambda frame: with_tlv(frame, Tag.VOLSER, b"E09999L4"))
    with pytest.raises(Refused) as caught:
        site.cut(from_drive=lie)
    assert caught.value.number == Code.EE29


def test_an_altered_key_frame_sets_no_key(site: Site) -> None:
    lie = on(MessageType.SET_KEY, lambda frame: with_tlv(frame, Tag.KEY_ALIAS, b"QKM00FFFFFFFFFF000001"))
    with pytest.raises(Untrusted):
        site.cut(from_server=lie)
    assert site.drive.key is None


def test_an_error_in_place_of_a_key_sets_no_key_and_permits_nothing(site: Site) -> None:
    def lie(frame: Frame) -> Frame:
        return error_frame(Fault(Code.EE31, "write in clear, please"), frame.session_id, frame.sequence)

    with pytest.raises(Refused):
        site.cut(from_server=on(MessageType.SET_KEY, lie))
    assert site.drive.key is None


def test_an_error_in_place_of_complete_takes_no_key_away(site: Site) -> None:
    def lie(frame: Frame) -> Frame:
        return error_frame(Fault(Code.EF01), frame.session_id, frame.sequence)

    outcome = site.cut(from_server=on(MessageType.COMPLETE, lie))
    assert outcome.key is site.drive.key is not None
    assert not outcome.confirmed


# Replay.


def test_a_replayed_session_is_refused_at_its_first_signature(site: Site) -> None:
    with intercepting(site.port) as (port, interceptor):
        assert site.ask(port=port).confirmed
    notify, _, reply, *_ = interceptor.seen
    with Connection(Server("127.0.0.1", site.port)) as connection:
        query = parse(connection.ask(notify))
        answer = parse(connection.ask(serialize(replace(parse(reply), session_id=query.session_id))))
    assert answer.type == MessageType.ERROR
    assert (answer.get(Tag.SENSE) or b"")[12:14] == b"\xee\x29"


def test_a_replayed_frame_without_its_session_is_ee2d(site: Site) -> None:
    with intercepting(site.port) as (port, interceptor):
        site.ask(port=port)
    for raw in interceptor.seen[2::2]:
        with Connection(Server("127.0.0.1", site.port)) as connection:
            answer = parse(connection.ask(raw))
        assert (answer.get(Tag.SENSE) or b"")[12:14] == b"\xee\x2d"


def test_a_replayed_key_is_refused_by_the_drive(site: Site) -> None:
    with intercepting(site.port) as (port, interceptor):
        site.ask(port=port)
    recorded = {raw[5]: raw for raw in interceptor.seen}
    site.drive.clear()

    def replay(raw: bytes) -> bytes:
        old, fresh = parse(recorded[raw[5]]), parse(raw)
        return serialize(replace(old, session_id=fresh.session_id)) if raw[5] == MessageType.SET_KEY else raw

    with pytest.raises(Untrusted):
        site.cut(from_server=replay)
    assert site.drive.key is None


# Downgrade.


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 5, 0xFFFF])
def test_a_weaker_or_unknown_signature_type_is_ee2e(site: Site, kind: int) -> None:
    signer = Typed(site.drive.signer, kind)
    assert site.refused(forger(site.drive, signer=signer)) == Code.EE2E


def test_no_key_in_place_of_a_key_is_not_believed(site: Site) -> None:
    def lie(frame: Frame) -> Frame:
        return build(
            MessageType.NO_KEY, frame.session_id, frame.sequence, [(Tag.SIGNATURE, frame.tlvs[-1][1])]
        )

    with pytest.raises(Untrusted):
        site.cut(from_server=on(MessageType.SET_KEY, lie))
    assert site.drive.key is None


def test_an_optional_request_made_of_a_creation_is_ee29(site: Site) -> None:
    lie = on(MessageType.DRIVER_ERROR_NOTIFY, lambda frame: with_tlv(frame, Tag.SENSE, sense(7, 0xEF1A)))
    with pytest.raises(Refused) as caught:
        site.cut(from_drive=lie)
    assert caught.value.number == Code.EE29


def test_another_version_is_ee23_in_ours(site: Site) -> None:
    def lie(raw: bytes) -> bytes:
        return raw[:4] + b"\x00" + raw[5:]

    drive = Session(site.drive, Errand(Ask.CREATE), site.anchors, os.urandom, now_us)
    with Connection(Server("127.0.0.1", site.port)) as connection:
        answer = connection.ask(lie(drive.begin()))
    assert answer[4] == 1
    assert (parse(answer).get(Tag.SENSE) or b"")[12:14] == b"\xee\x23"


def test_plain_connections_are_refused_where_tls_is_required(site: Site, tmp_path: Path) -> None:
    with made(tmp_path / "home", dkp__tls="required") as estate:
        estate.start()
        port = estate.ports["tcp"]
        authorities = load_anchors([], [estate.home.trust]).authorities
        with pytest.raises(Refused, match="EE23"), Connection(Server("127.0.0.1", port)) as plain:
            ping(plain)
        with Connection(Server("127.0.0.1", port, tls=True), authorities) as encrypted:
            ping(encrypted)
        with pytest.raises(NoAnswer, match="TLS"):
            Connection(Server("127.0.0.1", port, tls=True), site.anchors.authorities)
