"""The debug log shows frames whole but for what is, or could be, a key."""

from __future__ import annotations

import os
import re
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from qekm.clock import now_us
from qekm.dkp.frame import Frame, build, serialize
from qekm.dkp.pages import build_label, build_wrapped_page, public_key_page
from qekm.dkp.signed import join_dsk_list, join_signature
from qekm.logs.frames import frame_line, masked
from qekm_gateway.simulator.authority import make_authority
from tests.dkp.material import DKI, GOOD, LISTS, set_page, status_page
from tests.faults.canary import Canaries

KEY = os.urandom(32)
CANARIES = Canaries({"key": KEY})
CERTIFICATE = make_authority(now_us()).certificate.public_bytes(Encoding.DER)
MODULUS = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
DSK_LIST = join_dsk_list(7, public_key_page(MODULUS, 65537), 4, bytes(64))
WRAPPED = build_wrapped_page(
    True, 2, 3, 0, build_label(bytes(8), bytes(32), 1, 4, bytes(32), DKI, bytes(32)), KEY * 8, DKI
)
SIGNATURE = join_signature(4, bytes(64))
SERVER_SIGNED = (0x0190, SIGNATURE)
# Where a key must not be seen: wrapped for a drive, and wherever somebody may put one by mistake.
HIDDEN: dict[str, tuple[int, tuple[tuple[int, bytes], ...]]] = {
    "the wrapped key": (0x84, ((0x0109, b"QKM000000000000000001"), (0x2010, WRAPPED), SERVER_SIGNED)),
    "a key in clear in the page": (0x84, ((0x2010, set_page(KEY, key_format=0)), SERVER_SIGNED)),
    "a page that is none": (0x84, ((0x2010, bytes(20) + KEY), SERVER_SIGNED)),
    "an extension": (0x02, ((0x8001, KEY), (0xFFFF, KEY), SERVER_SIGNED)),
    "an EEDK": (0x03, ((0x0110, b"L\x03kek" + KEY), SERVER_SIGNED)),
    "a KEK label": (0x01, ((0x0108, KEY.hex().encode()),)),
    "a confirmation": (0x04, ((0x0191, KEY), SERVER_SIGNED)),
    "a certificate that is none": (0x02, ((0x0121, KEY), (0x0121, b"\x30\x20" + KEY))),
    "a certificate with something behind it": (0x02, ((0x0121, CERTIFICATE + KEY),)),
    "a DSK list that is none": (0x02, ((0x0122, KEY),)),
    "a DSK list with something behind it": (0x02, ((0x0122, DSK_LIST + KEY),)),
    "a DSK list with something for a page": (0x02, ((0x0122, join_dsk_list(7, KEY * 9, 4, bytes(64))),)),
    "a descriptor that nobody asked for": (
        0x01,
        ((0x2021, status_page(5, more=b"\x00\x01\x00\x20" + KEY)),),
    ),
    "a type that does not exist": (0x01, ((0x0333, KEY),)),
}
SHOWN = {
    0x0101: b"001300000392",
    0x0103: b"IBM     ",
    0x0106: b"E01001L4",
    0x010A: KEY[:16],
    0x0120: KEY,
    0x0121: CERTIFICATE,
    0x0122: DSK_LIST,
    0x0130: DKI,
    0x0170: GOOD[0x0170],
    0x0190: SIGNATURE,
}


def frame_of(kind: int, tlvs: tuple[tuple[int, bytes], ...]) -> Frame:
    """Return a frame that no grammar was asked about."""
    return Frame(kind, 0, 0x1122334455667788, 4, tlvs)


@pytest.mark.parametrize("case", HIDDEN)
def test_a_key_is_seen_nowhere(case: str) -> None:
    frame = frame_of(*HIDDEN[case])
    assert (
        [*CANARIES.search(serialize(frame), case)] or "KEK" in case or "clear" in case
    )  # else it proves nothing
    assert [*CANARIES.search(frame_line(frame).encode(), case)] == []


@pytest.mark.parametrize("tag", SHOWN)
def test_what_is_harmless_is_seen(tag: int) -> None:
    frame = frame_of(0x01, ((tag, SHOWN[tag]),))
    assert masked(frame) == serialize(frame).hex()


def test_of_a_wrapped_key_everything_else_is_seen() -> None:
    frame = frame_of(*HIDDEN["the wrapped key"])
    hexed, whole = masked(frame), serialize(frame).hex()
    assert len(hexed) == len(whole)
    assert [whole[at : at + 2] for at in range(0, len(whole), 2) if hexed[at : at + 2] == "**"] == [
        f"{byte:02x}" for byte in KEY * 8
    ]
    assert re.sub(r"\*", "", hexed) == whole.replace((KEY * 8).hex(), "")


ANY_TAG = st.one_of(st.sampled_from(sorted(GOOD)), st.integers(0, 0xFFFF))


@given(st.integers(0, 255), st.lists(st.tuples(ANY_TAG, st.binary(max_size=60)), max_size=6))
def test_any_frame_is_one_line_and_as_long_as_it_is(kind: int, tlvs: list[tuple[int, bytes]]) -> None:
    frame = frame_of(kind, tuple(tlvs))
    line = frame_line(frame)
    assert line.isprintable()
    assert line.isascii()
    shown = line.rpartition("frame=")[2]
    assert len(shown) == 2 * len(serialize(frame))
    raw = serialize(frame)
    assert all(shown[2 * at : 2 * at + 2] in ("**", f"{byte:02x}") for at, byte in enumerate(raw))


def test_who_what_and_how_are_told_in_words() -> None:
    asked = build(0x01, 0, 1, [(tag, GOOD[tag]) for tag in (*LISTS[0x01][0], 0x0106, 0x2021)])
    line = frame_line(asked)
    assert line.startswith("01 DRIVER_ERROR_NOTIFY session=0000000000000000 sequence=1 ")
    assert 'serial="001300000392" wwnn=500308C09E4A1001 vendor="IBM" product="ULT3580-TD4"' in line
    assert f"sense=7/EF11(create) dki={DKI.hex().upper()} frame=" in line
    proved = build(0x02, 1, 3, [(0x0121, CERTIFICATE), (0x0122, DSK_LIST), (0x0190, SIGNATURE)])
    said = "certificate=EC/secp256r1 signature=ECDSA_P256 dsk=RSA_2048 dsk-signature=ECDSA_P256"
    assert said in frame_line(proved)
    given_ = build(0x84, 1, 4, [(0x0109, b"QKM1"), (0x2010, WRAPPED), (0x0190, SIGNATURE)])
    assert "wrapping=RSA-OAEP-SHA256 parameter-set=0000" in frame_line(given_)


def test_a_text_of_the_wire_cannot_pass_for_words_of_ours() -> None:
    line = frame_line(frame_of(0x01, ((0x0106, b'A" frame=00 "'),)))
    assert 'volser="A\\" frame=00 \\"" frame=' in line


def test_a_signature_type_that_does_not_exist_is_shown_as_its_number() -> None:
    assert "signature=0001" in frame_line(frame_of(0x86, ((0x0190, struct.pack(">HH", 1, 0)),)))
