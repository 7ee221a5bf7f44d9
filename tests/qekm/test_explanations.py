"""Every code has its row, every error its code, and everybody's spelling finds them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qekm import errors
from qekm.dkp.codes import Code, ask_of, sense
from qekm.errors import BadArgument, QekmError, exit_code
from qekm.explanations import EXPLANATIONS, REASONS, Reason, explain, look_up, title_of
from qekm.serving.faults import CODES, INTERNAL

# The space that the family's drives and libraries use.
SPACE = """
    EE: 00 01 02 0D 0E 0F 10 11 12 13 18 19 20 21 22 23 24 25 26 27 28 29 2A 2B 2C 2D 2E 2F 30 31 32 34 40
    EE: 41 42 50 51 60 D0 D1 E0 E1 E2 F0 F1 FF
    EF: 01 10 11 13 1A 31 C0
    74: 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 10 11 12 21 30 40 61 62 63 64 6E 6F
    26: 10 11 12
    2A: 11 12 13
"""
FAMILY = [
    asc.strip() + ascq
    for asc, _, line in (line.partition(":") for line in SPACE.strip().splitlines())
    for ascq in line.split()
]
# What the original's guide prints beside its numbers: what is looked for in an audit log.
ORIGINAL = {
    "EE02": "DriverErrorNotifyParameterError",
    "EE0F": "Unexpected error. Internal programming error in EKM.",
    "EE23": 'Internal error: "Unexpected error....."',
    "EE25": "Errors that are related to the drive table occurred.",
    "EE29": "Encryption Read Message Failure: Invalid signature",
    "EE2B": "Either no signature in DSK or signature in DSK can not be verified.",
    "EE2C": "QueryDSKParameterError",
    "EE2D": "Encryption Read Message Failure: Invalid Message Type",
    "EE2E": "Internal error: Invalid signature type",
    "EE31": "Errors that are related to the keystore occurred.",
    "EEE1": "EK/EEDK flags conflict with subpage.",
    "EF01": 'Encryption Configuration Problem: "Drive not configured."',
}
LEAVES = [leaf for category in QekmError.__subclasses__() for leaf in category.__subclasses__()]
LEAVES = [leaf for leaf in LEAVES if leaf.__module__.startswith(errors.__name__)]


@pytest.mark.parametrize("code", FAMILY)
def test_every_code_of_the_family_and_the_standard_has_a_row(code: str) -> None:
    row = explain(code)
    assert row.code == code
    assert row.title
    assert row.drive.endswith(".")
    assert row.sense_keys
    assert row.actions


def test_there_is_no_other_row() -> None:
    assert sorted(FAMILY) == list(EXPLANATIONS)


@pytest.mark.parametrize("code", ORIGINAL)
def test_the_original_s_codes_have_the_original_s_words(code: str) -> None:
    assert ORIGINAL[code] in EXPLANATIONS[code].title
    assert EXPLANATIONS[code].here


def test_the_refusals_are_the_protocol_s_with_their_sense_keys_and_twins() -> None:
    refusals = {code: row for code, row in EXPLANATIONS.items() if row.kind == "refusal"}
    assert set(refusals) == {code.name for code in Code}
    for code in Code:
        assert code.sense_key in refusals[code.name].sense_keys
        twin = EXPLANATIONS[f"{code.twin:04X}"]
        assert code.name in twin.here


def test_the_requests_are_those_that_the_protocol_answers() -> None:
    asked = {f"{code:04X}" for code in range(0x10000) if ask_of(sense(6, code)) is not None}
    assert {code for code, row in EXPLANATIONS.items() if row.kind == "request"} == asked


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_error_of_ours_leads_to_the_code_that_a_drive_is_told(leaf: type[QekmError]) -> None:
    listed = [row.code for row in EXPLANATIONS.values() if leaf.reason() in row.errors]
    code = CODES.get(leaf)
    assert (code is None) == (leaf in INTERNAL)
    assert listed == ([code.name] if code else [])
    reason = REASONS[leaf.reason()]
    assert reason.code == (code or Code.EE0F).name
    assert (reason.exit_code, reason.hint) == (exit_code(leaf("x")), leaf.hint)
    assert 10 < len(reason.meaning) < 160
    assert reason.meaning.endswith(".")
    assert "details" not in reason.meaning


def test_no_row_names_an_error_that_is_none() -> None:
    assert set(REASONS) == {leaf.reason() for leaf in LEAVES}
    assert {reason for row in EXPLANATIONS.values() for reason in row.errors} <= set(REASONS)


SPELLINGS = "EE31,ee31,0xEE31,0XEE31,EE 31,EE/31,ee:31,EEh 31h,EE31h,0xEE/0x31, EE31\n"
WITH_SENSE_KEY = "05EE31,05 EE 31,5/EE/31,05/EE/31,0x05EE31"


@pytest.mark.parametrize("text", [*SPELLINGS.split(","), *WITH_SENSE_KEY.split(",")])
def test_a_code_is_found_in_all_its_spellings(text: str) -> None:
    assert explain(text).code == "EE31"
    assert title_of(text) == EXPLANATIONS["EE31"].title


@pytest.mark.parametrize("text", ["PORT_IN_USE", "port_in_use", "PortInUse", "port-in-use", "port in use"])
def test_an_error_of_ours_is_found_in_all_its_spellings(text: str) -> None:
    found = look_up(text)
    assert isinstance(found, Reason)
    assert found.reason == "PORT_IN_USE"
    with pytest.raises(BadArgument):
        explain(text)


@pytest.mark.parametrize(
    ("text", "near"), [("EE3", "EE3"), ("EE33", "EE3"), ("740E", "746E"), ("UNKNOWN_KEYS", "UNKNOWN_KEY")]
)
def test_what_is_unknown_is_told_with_what_comes_near(text: str, near: str) -> None:
    with pytest.raises(BadArgument, match="is no code and no error") as caught:
        look_up(text)
    assert f"did you mean {near}" in caught.value.advice
    assert title_of(text) == ""


@given(st.text(max_size=100) | st.text("0123456789ABCDEFabcdefxh /:.-", max_size=12))
@example("E" * 100_000)
@example("\x00")
def test_any_text_is_found_or_refused_and_nothing_else_happens(text: str) -> None:
    title_of(text)
    for find in (explain, look_up):
        try:
            found = find(text)
        except BadArgument as error:
            assert len(error.message) < 300
        else:
            assert found in (*EXPLANATIONS.values(), *REASONS.values())


def test_nothing_but_the_standard_library_is_loaded() -> None:
    code = "import sys, qekm.explanations; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {name for name in done.stdout.split() if name not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("_")} - {"qekm", "sitecustomize"} == set()
