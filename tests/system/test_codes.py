"""Every code of the protocol's table, raised by a crafted frame on a socket and found in the audit trail.

EE0F and EE34 belong to a stopped service and an empty pool; EE34 is here for its place in the order.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm.dkp.frame import MessageType
from qekm_gateway.simulator.link import Connection, NoAnswer, ping
from tests.system.command import ask_qekm
from tests.system.crafting import Conversation
from tests.system.flaws import FLAWS
from tests.system.staging import Flaw, Stage, staged

# Section 10's table: the code's sense key, and its twin in the standard's own codes.
TABLE = {
    "EE02": ("05", "746F"),
    "EE23": ("05", "746F"),
    "EE25": ("05", "7464"),
    "EE29": ("05", "7464"),
    "EE2B": ("05", "7464"),
    "EE2C": ("05", "746F"),
    "EE2D": ("05", "746F"),
    "EE2E": ("05", "7464"),
    "EE31": ("05", "7463"),
    "EE34": ("05", "7463"),
    "EEE1": ("03", "746F"),
    "EF01": ("05", "7464"),
}
ALONE = [pytest.param(m, flaw, id=f"{m:02}-{flaw.name}") for m, flaws in FLAWS.items() for flaw in flaws]
PAIRS = [
    pytest.param(message, first, second, id=f"{message:02}-{first.name}-{second.name}")
    for message, flaws in FLAWS.items()
    for first, second in itertools.combinations(flaws, 2)
    if first.code != second.code
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("codes") / "home") as running:
        yield running


def error_of(code: str, conversation: Conversation) -> bytes:
    """Return the ERROR frame that a session ends with, as the page has it, but for its text."""
    sense_key, twin = TABLE[code]
    last = conversation.last
    session_id, sequence = (last.session_id, last.sequence + 2) if last else (0, 2)
    return b"".join(
        (
            bytes.fromhex("51454B4D 01 FF 0000"),
            session_id.to_bytes(8),
            sequence.to_bytes(4),
            bytes(4),
            bytes.fromhex(f"0170 0012 70 00 {sense_key} 00000000 0A 00000000 {code} 00000000"),
            bytes.fromhex(f"0171 0012 70 00 07 00000000 0A 00000000 {twin} 00000000"),
        )
    )


def beginning_of(raw: bytes) -> bytes:
    """Return an ERROR without the length of its body and what follows the two fields that it must have."""
    return raw[:20] + bytes(4) + raw[24:68]


def code_of(raw: bytes) -> str:
    """Return the code of an ERROR; of another frame, what it is."""
    return raw[40:42].hex().upper() if raw[5] == MessageType.ERROR else MessageType(raw[5]).name


@pytest.mark.parametrize("message", FLAWS)
def test_a_session_without_a_flaw_is_served(stage: Stage, message: int) -> None:
    answer, _ = stage.play(stage.drive(), message=message)
    assert answer[5] == MessageType.COMPLETE


@pytest.mark.parametrize(("message", "flaw"), ALONE)
def test_each_flaw_gets_its_code_to_the_byte(stage: Stage, message: int, flaw: Flaw) -> None:
    with Connection(stage.server) as link:
        raw, conversation = stage.converse(link, stage.drive(), flaw, message=message)
        assert beginning_of(raw) == error_of(flaw.code, conversation)
        assert int.from_bytes(raw[20:24]) == len(raw) - 24
        if flaw.code == "EE23":
            with pytest.raises(NoAnswer, match="closed"):
                ping(link)
        else:
            ping(link)


def test_every_code_that_a_frame_can_raise_is_raised() -> None:
    assert {flaw.code for flaws in FLAWS.values() for flaw in flaws} == set(TABLE)


@pytest.mark.parametrize(("message", "first", "second"), PAIRS)
def test_of_two_flaws_the_one_that_is_checked_first_is_answered(
    stage: Stage, message: int, first: Flaw, second: Flaw
) -> None:
    raw, _ = stage.play(stage.drive(), first, second, message=message)
    assert code_of(raw) == first.code


# One flaw for each code; the drive has proved itself before those that are recorded one by one.
STRANGERS = {
    "EE02": (0x01, 4),
    "EE23": (0x01, 0),
    "EE2B": (0x02, 6),
    "EE2C": (0x02, 4),
    "EE2D": (0x02, 1),
    "EE2E": (0x02, 8),
    "EEE1": (0x01, 3),
    "EF01": (0x01, 5),
}
PROVED = {"EE25": (0x02, 14), "EE29": (0x04, 6), "EE31": (0x02, 15)}
TIMES = 3


def test_every_refusal_is_in_the_trail_those_of_strangers_counted(tmp_path: Path) -> None:
    """They are read after a restart: what a minute of strangers left unwritten is written at the stop."""
    serials = defaultdict(set)
    with staged(tmp_path / "home") as stage:
        for code, (message, place) in (STRANGERS | PROVED).items():
            for _ in range(TIMES):
                drive = stage.drive()
                raw, _ = stage.play(drive, FLAWS[message][place], message=message)
                assert code_of(raw) == code
                serials[code].add(drive.serial)
        stage.estate.stop()
        stage.estate.start(gateway=False)
        records = ask_qekm(stage.estate.home, "audit", "list", "--failed", "--limit", "0")["records"]
    refusals: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        assert record["outcome"] == "failure"
        if record["code"]:
            refusals[record["code"]].append(record)
    assert set(refusals) == set(serials)
    for code in STRANGERS:
        assert sum(record["count"] for record in refusals[code]) == TIMES
        minutes = {record["time"][:16] for record in refusals[code]}
        assert len(refusals[code]) <= 2 * len(minutes)
        assert {record["actor"] for record in refusals[code]} == {"host 127.0.0.1"}
    for code in PROVED:
        assert [record["count"] for record in refusals[code]] == [1] * TIMES
        assert {record["drive_serial"] for record in refusals[code]} == serials[code]
        assert {record["actor"] for record in refusals[code]} == {f"drive/{s}" for s in serials[code]}
