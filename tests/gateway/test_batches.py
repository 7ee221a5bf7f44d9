"""The self-clocking window, without a stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qekm.distribution import SECONDS, Distribution
from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import parse
from qekm.rpc.frames import to_reply
from qekm.v1.serving_pb2 import QueryDsk, Reply
from qekm_gateway.batches import BATCH, DEADLINE, STALL, WINDOW, Batches, Late
from tests.dkp.material import raw, required

FIRST = parse(raw(0x01, required(0x01)))
LATER = parse(raw(0x04, required(0x04), 8, 7, 5))


class Drive:
    """Somebody who waits."""

    def answered(self, reply: Reply | None) -> None:
        """Never called here."""


def reply_to(step_id: int, session_id: int = 9) -> Reply:
    return Reply(step_id=step_id, session_id=session_id, sequence=2, query_dsk=QueryDsk())


def test_a_step_waits_only_while_the_window_is_full() -> None:
    batches = Batches(Distribution(SECONDS))
    drives = [Drive() for _ in range(4)]
    ids = []
    for number, drive in enumerate(drives):
        ids.append(batches.submit(FIRST, "a:1", drive, 0.0))
        assert batches.ready == (number < WINDOW)
        assert [step.step_id for step in batches.next_steps(0.0)] == (ids[-1:] if number < WINDOW else [])
    assert batches.replied(reply_to(ids[0]), 0.0) is drives[0]
    assert batches.ready
    assert [step.step_id for step in batches.next_steps(0.0)] == ids[WINDOW:]


def test_a_batch_is_answered_when_each_of_its_steps_is_in_any_order() -> None:
    batches = Batches(Distribution(SECONDS))
    drives = [Drive() for _ in range(BATCH + 3)]
    ids = [batches.submit(FIRST, "a:1", drive, 0.0) for drive in drives]
    assert (len(batches.next_steps(0.0)), len(batches.next_steps(0.0))) == (BATCH, 3)
    last = batches.submit(FIRST, "a:1", Drive(), 0.0)
    for step_id, drive in reversed(list(zip(ids[:BATCH], drives, strict=False))):
        assert not batches.ready
        assert batches.replied(reply_to(step_id), 0.0) is drive
    assert batches.ready
    assert [step.step_id for step in batches.next_steps(0.0)] == [last]


def test_a_step_whose_time_is_over_is_nobody_s_and_still_fills_the_window() -> None:
    batches = Batches(Distribution(SECONDS))
    sent, unsent = Drive(), Drive()
    first = batches.submit(FIRST, "10.0.0.1:7", sent, 0.0)
    assert batches.next_look(0.0) == DEADLINE
    batches.next_steps(0.0)
    batches.submit(LATER, "a:1", unsent, 0.5)
    assert batches.expire(DEADLINE - 0.01) == []
    assert batches.expire(DEADLINE) == [sent]
    assert batches.next_look(DEADLINE) == 0.5 + DEADLINE
    assert batches.expire(9.0) == [unsent]
    assert batches.next_steps(9.0) == []
    assert batches.next_look(9.0) is not None
    assert batches.replied(reply_to(first), 0.0) == Late(9, "10.0.0.1:7")
    assert batches.next_look(9.0) is None
    assert batches.replied(reply_to(first), 0.0) is None


def test_a_late_reply_matters_only_if_it_opened_a_session() -> None:
    batches = Batches(Distribution(SECONDS))
    late = [batches.submit(frame, "a:1", Drive(), 0.0) for frame in (FIRST, FIRST, LATER)]
    batches.next_steps(0.0)
    batches.expire(5.0)
    assert batches.replied(to_reply(Fault(Code.EF01), late[0], 9, 2), 0.0) is None
    assert batches.replied(reply_to(late[1], 0), 0.0) is None
    assert batches.replied(reply_to(late[2], 7), 0.0) is None


def test_a_batch_without_all_replies_for_long_is_a_stall() -> None:
    batches = Batches(Distribution(SECONDS))
    first, second = (batches.submit(FIRST, "a:1", Drive(), 0.0) for _ in range(2))
    assert not batches.stalled(100.0)
    batches.next_steps(1.0)
    batches.replied(reply_to(first), 0.0)
    assert not batches.stalled(1.0 + STALL - 0.01)
    assert batches.stalled(1.0 + STALL)
    batches.replied(reply_to(second), 0.0)
    assert not batches.stalled(100.0)


@given(
    st.lists(st.sampled_from(["submit", "send", "reply", "abandon", "expire"]), max_size=200), st.randoms()
)
def test_whatever_happens_no_slot_of_the_window_is_lost(events: list[str], dice: object) -> None:
    batches = Batches(Distribution(SECONDS))
    now, flying, known = 0.0, [], []
    for event in events:
        now += 0.1
        if event == "submit":
            known.append(batches.submit(FIRST, "a:1", Drive(), now))
        elif event == "send":
            flying += [step.step_id for step in batches.next_steps(now)]
        elif event == "reply" and flying:
            batches.replied(reply_to(flying.pop(dice.randrange(len(flying)))), 0.0)  # type: ignore[attr-defined]
        elif event == "abandon" and known:
            batches.abandon(known[dice.randrange(len(known))])  # type: ignore[attr-defined]
        elif event == "expire":
            batches.expire(now)
    for step_id in flying:
        batches.replied(reply_to(step_id), 0.0)
    batches.expire(now + 10)
    assert batches.next_look(now) is None
    drive = Drive()
    step_id = batches.submit(FIRST, "a:1", drive, now)
    assert [step.step_id for step in batches.next_steps(now)] == [step_id]
    assert batches.replied(reply_to(step_id), 0.0) is drive


def test_the_end_of_the_stream_returns_who_waits_and_forgets_the_rest() -> None:
    batches = Batches(Distribution(SECONDS))
    drives = [Drive() for _ in range(3)]
    ids = [batches.submit(FIRST, "a:1", drive, 0.0) for drive in drives]
    batches.next_steps(0.0)
    batches.abandon(ids[1])
    assert batches.clear() == [drives[0], drives[2]]
    assert batches.replied(reply_to(ids[0]), 0.0) is None
    assert batches.next_look(0.0) is None
    assert batches.submit(FIRST, "a:1", drives[0], 0.0) > max(ids)


def test_it_is_counted_how_long_an_answer_took_or_was_waited_for() -> None:
    answers = Distribution(SECONDS)
    batches = Batches(answers)
    first, second = (batches.submit(FIRST, "a:1", Drive(), now) for now in (0.0, 0.1))
    batches.next_steps(0.1)
    assert batches.pending == 2
    batches.replied(reply_to(first), 0.2)
    batches.expire(9.0)
    batches.replied(reply_to(second), 9.5)  # nobody waits for it any more
    assert (sum(answers.counts), round(answers.sum, 6), batches.pending) == (2, 0.2 + DEADLINE, 0)
