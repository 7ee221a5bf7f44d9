"""Sample values of every TLV and strategies for whole frames, made without the codec's own tables."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

DKI = b"QKM" + bytes(8) + b"\x01"
SENSE = bytes.fromhex("700007000000000a00000000ef1100000000")
TRANSLATE = bytes.fromhex("700007000000000a00000000ef1300000000")


def status_page(status: int, akad: bytes | None = DKI, more: bytes = b"") -> bytes:
    """Return page 0021h written out by hand."""
    kad = b"" if akad is None else b"\x01\x01" + len(akad).to_bytes(2) + akad
    body = bytes(8) + bytes((status, 1, 0, 0)) + kad + more
    return b"\x00\x21" + len(body).to_bytes(2) + body


def set_page(
    key: bytes, key_format: int = 2, byte5: int = 4, modes: bytes = b"\x02\x03", dki: bytes = DKI
) -> bytes:
    """Return page 0010h written out by hand."""
    head = (
        b"\x40" + bytes((byte5,)) + modes + b"\x01" + bytes((key_format,)) + bytes(8) + len(key).to_bytes(2)
    )
    body = head + key + b"\x01\x00" + len(dki).to_bytes(2) + dki
    return b"\x00\x10" + len(body).to_bytes(2) + body


WRAPPED = b"\x00\x00" + b"\x00\x06" + b"\x04\x00\x00\x02\x01\x00" + b"\x00\x04" + b"wrap" + b"\x00\x00"
GOOD: dict[int, bytes] = {
    0x0101: b"001300000392",
    0x0102: bytes.fromhex("500308c09e4a1001"),
    0x0103: b"IBM     ",
    0x0104: b"ULT3580-TD4     ",
    0x0105: b"77BE",
    0x0106: b"E01001L4",
    0x0107: b"LIB1",
    0x0108: b"kek",
    0x0109: b"QKM000000000000000001",
    0x010A: bytes(range(16)),
    0x0110: b"L\x03kek" + bytes(256),
    0x0120: bytes(32),
    0x0121: b"0" * 700,
    0x0122: b"\x01",
    0x0130: DKI,
    0x0170: SENSE,
    0x0171: SENSE,
    0x0180: b"no key of this name",
    0x0181: b"\x01\x30\x00\x00\x00\x18",
    0x0190: b"\x00\x04\x00\x40" + bytes(64),
    0x0191: bytes(32),
    0x2010: set_page(WRAPPED),
    0x2021: status_page(6),
    0x2030: b"\x00\x30\x00\x20" + bytes(32),
}
# Message type -> required, optional: written from docs/protocol.md, section 5.
LISTS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    0x01: (
        (0x0101, 0x0102, 0x0103, 0x0104, 0x0170),
        (0x0105, 0x0106, 0x0107, 0x0108, 0x010A, 0x0110, 0x0130, 0x2021),
    ),
    0x82: ((0x0120, 0x0121), ()),
    0x02: ((0x0121, 0x0122, 0x2030, 0x0190), ()),
    0x83: ((), ()),
    0x03: ((0x0130, 0x0190), (0x0110,)),
    0x84: ((0x0109, 0x2010, 0x0190), (0x0110,)),
    0x85: ((0x0190,), ()),
    0x04: ((0x0170, 0x0190), (0x0191,)),
    0x86: ((), (0x0190,)),
    0x07: ((), ()),
    0x87: ((), ()),
    0xFF: ((0x0170, 0x0171), (0x0180, 0x0181)),
}
MOST = {0x0108: 2, 0x0110: 2, 0x0121: 4}
FLAGS = {0x0190: 8, 0x0130: 4, 0x2010: 5, 0x0110: 2, 0x2021: 4}


def place(tag: int) -> int:
    """Return what sorts TLV types as on the wire."""
    return {0x0191: 0x10000, 0x0190: 0x10001}.get(tag, tag)


def raw(
    kind: int, tlvs: list[tuple[int, bytes]], flags: int = 0, session: int = 0, sequence: int = 1
) -> bytes:
    """Return a frame's bytes with exactly these TLVs in this order."""
    body = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in tlvs)
    return b"QEKM" + struct.pack(">BBHQII", 1, kind, flags, session, sequence, len(body)) + body


def required(kind: int) -> list[tuple[int, bytes]]:
    """Return good values of all TLVs that a message requires, in order."""
    return [(tag, GOOD[tag]) for tag in sorted(LISTS[kind][0], key=place)]


def carrier(tag: int) -> int:
    """Return a message that lists this TLV."""
    return next(kind for kind, (needs, may) in LISTS.items() if tag in needs + may)


_ascii = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=16).map(str.encode)


def _letters(low: int, high: int) -> st.SearchStrategy[bytes]:
    return st.text(_ascii, min_size=low, max_size=high).map(str.encode)


def _exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


_sense = st.binary(min_size=17, max_size=251).map(lambda rest: b"\x70" + rest)
_signature = st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=512)).map(
    lambda pair: struct.pack(">HH", pair[0], len(pair[1])) + pair[1]
)
VALUES: dict[int, st.SearchStrategy[bytes]] = {
    0x0101: _letters(1, 16),
    0x0102: _exactly(8),
    0x0103: _letters(8, 8),
    0x0104: _letters(16, 16),
    0x0105: _letters(4, 4),
    0x0106: _letters(1, 32),
    0x0107: _letters(1, 32),
    0x0108: _text,
    0x0109: _text,
    0x010A: _exactly(16),
    0x0110: st.just(GOOD[0x0110]),
    0x0120: _exactly(32),
    0x0121: st.binary(min_size=1, max_size=300),
    0x0122: st.binary(max_size=300),
    0x0130: _exactly(12),
    0x0170: _sense,
    0x0171: _sense,
    0x0180: _text,
    0x0181: _exactly(6),
    0x0190: _signature,
    0x0191: _exactly(32),
    0x2010: st.binary(max_size=40).map(
        lambda key: set_page(b"\0\0\0\0" + len(key).to_bytes(2) + key + b"\0\0")
    ),
    0x2021: st.builds(status_page, st.integers(0, 255), st.none() | st.binary(min_size=1, max_size=12)),
    0x2030: _exactly(32).map(lambda nonce: b"\x00\x30\x00\x20" + nonce),
}


@st.composite
def frames(draw: st.DrawFn, client_only: bool = False) -> bytes:
    """Draw the bytes of a frame that parses and whose flags fit."""
    kind = draw(st.sampled_from([1, 2, 3, 4, 7] if client_only else sorted(LISTS)))
    needs, may = LISTS[kind]
    tags = list(needs) + [tag for tag in may if draw(st.booleans())]
    tags += [tag for tag in tags if MOST.get(tag, 1) > 1 and draw(st.booleans())]
    tags += draw(st.lists(st.integers(0x8000, 0xFFFF), max_size=2, unique=True))
    tlvs = []
    flags = 0
    for tag in sorted(tags, key=place):
        value = draw(VALUES[tag]) if tag < 0x8000 else draw(st.binary(max_size=40))
        tlvs.append((tag, value))
        flags |= 0 if tag == 0x2021 and len(value) == 16 else FLAGS.get(tag, 0)
    session = draw(st.integers(0, 2**64 - 1))
    return raw(kind, tlvs, flags, session, draw(st.integers(0, 2**32 - 1)))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a good frame with some bytes replaced, inserted or cut, its body length put right again."""
    data = bytearray(draw(frames()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        what = draw(st.sampled_from("rid"))
        if what == "r":
            data[at] = draw(st.integers(0, 255))
        elif what == "i":
            data[at:at] = draw(st.binary(max_size=8))
        elif len(data) > 24:
            del data[at : at + draw(st.integers(1, 8))]
    if len(data) >= 24 and draw(st.booleans()):
        data[20:24] = (len(data) - 24).to_bytes(4)
    return bytes(data)
