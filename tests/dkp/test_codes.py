"""The numbers of the protocol, as its tables give them."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Ask, Code, Fault, ask_of, good_sense, sense_data, sense_key_of, sense_t10

# docs/protocol.md, section 10.
TABLE = {
    "EE23": (5, 0x746F),
    "EE2D": (5, 0x746F),
    "EEE1": (3, 0x746F),
    "EE02": (5, 0x746F),
    "EE25": (5, 0x7464),
    "EF01": (5, 0x7464),
    "EE2C": (5, 0x746F),
    "EE2E": (5, 0x7464),
    "EE2B": (5, 0x7464),
    "EE29": (5, 0x7464),
    "EE34": (5, 0x7463),
    "EE31": (5, 0x7463),
    "EE0F": (4, 0x7462),
    "EE0E": (4, 0x746E),
}


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(Code.__members__)


@pytest.mark.parametrize("name", TABLE)
def test_a_code_becomes_sense_data_twice(name: str) -> None:
    code = Code[name]
    key, twin = TABLE[name]
    assert int(code) == int(name, 16)
    assert (code.sense_key, code.twin) == (key, twin)
    assert sense_data(code).hex() == f"70000{key}000000000a00000000{name.lower()}00000000"
    assert sense_t10(code).hex() == f"700007000000000a00000000{twin:04x}00000000"


@pytest.mark.parametrize(
    ("number", "ask"),
    [
        (0xEF11, Ask.CREATE),
        (0xEE11, Ask.CREATE),
        (0xEF13, Ask.TRANSLATE),
        (0xEE13, Ask.TRANSLATE),
        (0xEF10, Ask.ACQUIRE),
        (0xEE10, Ask.ACQUIRE),
        (0xEF1A, Ask.OPTIONAL),
        (0xEFC0, Ask.NO_OPERATION),
        (0xEE1A, None),
        (0xEEC0, None),
        (0x0000, None),
        (0x7403, None),
    ],
)
def test_sense_data_says_what_is_asked(number: int, ask: Ask | None) -> None:
    sense = bytes.fromhex(f"700006000000000a00000000{number:04x}00000000")
    assert ask_of(sense) is ask
    assert sense_key_of(sense) == 6


def test_sense_that_is_cut_off_asks_nothing_and_is_no_success() -> None:
    assert ask_of(b"\x70") is None
    assert sense_key_of(b"") != 0


def test_good_sense_has_key_zero() -> None:
    assert good_sense().hex() == "700000000000000a0000000000000000" + "0000"
    assert sense_key_of(good_sense()) == 0
    assert sense_key_of(b"\x70\x00\xf0" + bytes(15)) == 0  # the upper bits are filemark, EOM and ILI


def test_a_text_is_cut_to_200_bytes_at_a_character() -> None:
    assert Fault(Code.EE0F, "é" * 150).text == "é" * 100
    assert Fault(Code.EE0F, "a" + "é" * 150).text == "a" + "é" * 99
    assert Fault(Code.EE31, "two\nlines\x00\ud800").text == "two?lines??"
    assert str(Fault(Code.EE31, "no key")) == "EE31: no key"
