"""Whatever parses is decided: an answer or a fault of the table, never another exception or a lost key."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qekm.dkp.codes import Fault
from qekm.dkp.frame import Frame, parse, serialize
from qekm.model import KeyState
from tests.fakes.drive import ACQUIRE, CREATE, NO_OPERATION, OPTIONAL, TRANSLATE
from tests.fakes.estate import Estate

ESTATE = Estate(keys=50, settings={"drive.creationsPerHour": 1_000_000, "dkp.connectionsPerAddress": 10_000})
DKI = ESTATE.keystore.page()[0].dki
DRIVE = ESTATE.drive()
ESTATE.run(DRIVE.session())
asks = st.sampled_from([CREATE, TRANSLATE, ACQUIRE, OPTIONAL, NO_OPERATION])
edits = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=4)


def edited(frame: Frame, edit: list[tuple[int, int]]) -> Frame | None:
    """Return the frame with some bytes changed, None if that is no frame any more."""
    raw = bytearray(serialize(frame))
    for place, byte in edit:
        raw[place % len(raw)] ^= byte
    try:
        return parse(bytes(raw))
    except Fault:
        return None


@settings(max_examples=150, deadline=None)
@given(ask=asks, stage=st.integers(0, 2), edit=edits, named=st.booleans())
@example(ask=CREATE, stage=0, edit=[], named=False)
@example(ask=TRANSLATE, stage=2, edit=[(30, 1)], named=False)
def test_a_frame_with_changed_bytes_is_decided(
    ask: int, stage: int, edit: list[tuple[int, int]], named: bool
) -> None:
    session = DRIVE.session(ask=ask, dki=DKI if named else b"")
    frame = session.notify()
    for _ in range(stage):
        reply = ESTATE.ask(frame)
        if reply.type == 0x86:
            return
        session.take(reply)
        if reply.type == 0x82:
            frame = session.reply_dsk()
        else:
            frame = session.reply_dki(DKI) if reply.type == 0x83 else session.status()
    bad = edited(frame, edit)
    if bad is not None:
        decision = ESTATE.decide(bad)
        assert isinstance(decision.reply, Frame | Fault)
        if isinstance(decision.reply, Fault):
            assert session.session_id not in ESTATE.serving._sessions or bad.session_id != session.session_id
    ESTATE.disk.commit(ESTATE.serving.end(session.session_id, 0, ""))
    assert ESTATE.keystore.counts()[KeyState.ASSIGNED] <= len(ESTATE.serving._sessions)
    ESTATE.disk.commit(ESTATE.keystore.generate(1, "default"))
