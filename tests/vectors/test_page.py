"""The numbers that docs/protocol.md prints are those that the codec makes."""

from __future__ import annotations

import re
from pathlib import Path

from qekm.dkp import names, pages, signed
from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import Tag
from qekm.dkp.frame import MessageType, build, error_frame, serialize
from tests.dkp.material import DKI
from tests.dkp.test_frame import NOTIFY

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
SESSION_ID = 0x0102030405060708
KEY = bytes(range(32))
LABEL = pages.build_label(
    bytes.fromhex("500308c09e4a1001"), b"\x11" * 32, SESSION_ID, 4, b"\x22" * 32, DKI, b"\x33" * 32
)
VECTORS = [
    NOTIFY,
    serialize(error_frame(Fault(Code.EF01), 0, 2)),
    serialize(build(MessageType.PING, 0, 1, ())) + serialize(build(MessageType.PONG, 0, 2, ())),
    pages.build_plain_page(False, 2, 3, KEY, DKI),
    pages.next_block_status_page(6, DKI),
    names.alias_to_dki("QKM000000000000000001") + names.alias_to_dki("archive7"),
    LABEL,
    signed.dsk_signed_bytes(b"001300000392", 1, b""),
    signed.confirmation(KEY, SESSION_ID, b"QEKM"),
]


def test_the_first_line_says_that_the_protocol_is_our_own() -> None:
    assert "our own" in PAGE.splitlines()[0]


def test_every_vector_on_the_page_is_what_the_codec_makes() -> None:
    blocks = re.findall(r"(?:^    [0-9a-f]+\n)+", PAGE, re.MULTILINE)
    printed = ["".join(block.split()) for block in blocks]
    assert len(printed) == len(VECTORS)
    for block, vector in zip(printed, VECTORS, strict=True):
        assert block.endswith(vector.hex())
    assert printed[-1][:64] == "537c2e815c0e15e7177c161ee7071ef0a5d61b05fbd4ccf835279b3046e5663f"


def test_every_tlv_message_and_code_is_on_the_page() -> None:
    rows = {line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("|")}
    assert {f"{tag:04X}" for tag in Tag} <= rows
    assert {f"{kind:02X}" for kind in MessageType} <= rows
    assert {code.name for code in Code} <= rows
    for code in Code:
        assert f"| {code.name} | {code.sense_key} | {code.twin:04X} |" in PAGE
