"""Which bytes signatures and confirmations cover."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp import signed
from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, build, parse, serialize
from tests.dkp.material import SENSE

STATUS = [(0x0170, SENSE), (0x0190, b"\0\4\0\x40" + b"s" * 64), (0x0191, b"c" * 32)]


def test_a_signature_covers_everything_before_its_own_bytes() -> None:
    frame = build(0x04, 9, 7, STATUS)
    raw = serialize(frame)
    covered = signed.signed_bytes(signed.CLIENT, b"earlier", frame)
    assert covered == b"QEKM MSG 1C" + b"earlier" + raw[:-64]
    assert raw[-72:-64] == bytes.fromhex("0190004400040040")
    assert signed.signed_bytes(signed.SERVER, b"", frame).startswith(b"QEKM MSG 1S" + b"QEKM\x01")


def test_what_a_signature_covers_does_not_depend_on_it() -> None:
    other = build(0x04, 9, 7, [*STATUS[:1], (0x0190, b"\0\4\0\x40" + b"x" * 64), STATUS[2]])
    covered = signed.signed_bytes(signed.CLIENT, b"", build(0x04, 9, 7, STATUS))
    assert signed.signed_bytes(signed.CLIENT, b"", other) == covered


def test_sign_frame_signs_what_signed_bytes_gives() -> None:
    seen: list[bytes] = []

    def sign(message: bytes) -> bytes:
        seen.append(message)
        return b"z" * 64

    frame = signed.sign_frame(signed.SERVER, b"earlier", build(0x86, 9, 8, []), 4, 64, sign)
    assert seen == [signed.signed_bytes(signed.SERVER, b"earlier", frame)]
    assert signed.signature_of(parse(serialize(frame))) == (4, b"z" * 64)
    assert frame.flags == 8


@pytest.mark.parametrize("frame", [build(0x86, 9, 8, []), build(0x04, 9, 7, STATUS[:1])])
def test_a_frame_without_a_signature_is_ee23(frame: Frame) -> None:
    for ask in (signed.signature_of, lambda f: signed.signed_bytes(signed.CLIENT, b"", f)):
        with pytest.raises(Fault) as caught:
            ask(frame)
        assert caught.value.code is Code.EE23


def test_a_confirmation_covers_everything_before_its_tlv() -> None:
    frame = build(0x04, 9, 7, STATUS)
    raw = serialize(frame)
    covered = signed.confirmation_bytes(b"earlier", frame)
    assert covered == b"earlier" + raw[: 24 + 4 + 18]
    assert raw[len(covered) - 7 :].startswith(bytes.fromhex("01910020"))
    for lacking in (build(0x04, 9, 7, STATUS[:2]), build(0x83, 9, 4, [])):
        with pytest.raises(Fault):
            signed.confirmation_bytes(b"", lacking)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_a_confirmation_is_hmac_under_hkdf_of_the_key(key: bytes, session: int, covered: bytes) -> None:
    kdf = HKDF(hashes.SHA256(), 32, session.to_bytes(8), b"QEKM CONFIRM 1C")
    mac = hmac.HMAC(kdf.derive(key), hashes.SHA256())
    mac.update(covered)
    assert signed.confirmation(key, session, covered) == mac.finalize()


@given(st.integers(0, 2**32 - 1), st.binary(max_size=600), st.integers(0, 0xFFFF), st.binary(max_size=512))
def test_a_dsk_list_comes_back(serial: int, page: bytes, sig_type: int, signature: bytes) -> None:
    value = signed.join_dsk_list(serial, page, sig_type, signature)
    assert value[:1] == b"\x01"
    assert signed.split_dsk_list(value) == (serial, page, sig_type, signature)
    for bad in (b"\x02" + value[1:], b"\x00" + value[1:], value + b"\0", value[:-1], b""):
        with pytest.raises(Fault) as caught:
            signed.split_dsk_list(bad)
        assert caught.value.code is Code.EE2C


def test_the_bytes_that_name_a_dsk() -> None:
    covered = signed.dsk_signed_bytes(b"001300000392", 7, b"page")
    assert covered == b"QEKM DSK 1" + b"\x0c001300000392" + b"\0\0\0\7" + b"page"
