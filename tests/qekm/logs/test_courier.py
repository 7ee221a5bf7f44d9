"""Whoever gives never waits; what the receiver takes comes once and in order; what is lost is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from qekm.logs.courier import Courier
from tests.waiting import PATIENCE_S, wait_for


class Receiver:
    """Takes things unless told not to; may be made to hang."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.lost: list[int] = []
        self.asked = self.away = self.broken = self.closed = False
        self.bad: set[int] = set()  # things that show a defect
        self.gate = threading.Event()
        self.gate.set()

    def take(self, items: Sequence[int]) -> None:
        """Take them all, or none."""
        self.asked = True
        self.gate.wait()
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        if self.broken or self.bad & {*items}:
            raise RuntimeError("a defect")
        self.taken += items

    def missed(self, count: int) -> None:
        """Note it."""
        self.gate.wait()
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        self.lost.append(count)

    def close(self) -> None:
        """Note it."""
        self.closed = True


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def courier(receiver: Receiver) -> Iterator[Courier[int]]:
    courier = Courier("the test", receiver, most=100, batch=7, waits_s=(0.01, 0.05))
    courier.start()
    yield courier
    receiver.gate.set()
    courier.close()


def test_things_come_once_in_order_and_the_last_ones_before_it_ends(
    courier: Courier[int], receiver: Receiver
) -> None:
    for number in range(50):
        courier.give(number)
    courier.close()
    assert receiver.taken == list(range(50))
    assert (receiver.lost, receiver.closed) == ([], True)


def test_a_receiver_that_hangs_keeps_nobody_waiting_and_what_has_no_room_is_counted(
    courier: Courier[int], receiver: Receiver
) -> None:
    receiver.gate.clear()
    begun = time.monotonic()
    for number in range(1_000):
        courier.give(number)
    took = time.monotonic() - begun
    print(f"1,000 things given to a receiver that hangs in {took * 1_000:.1f} ms; promised: 100 ms")
    assert took < 0.3
    receiver.gate.set()
    wait_for(lambda: bool(receiver.lost))
    assert receiver.taken == list(range(len(receiver.taken)))
    assert len(receiver.taken) + sum(receiver.lost) == 1_000
    assert 100 <= len(receiver.taken) <= 107


def test_who_is_away_gets_the_same_things_when_he_is_back_and_both_are_told_once(
    courier: Courier[int], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.away = True
    with caplog.at_level(logging.WARNING):
        for number in range(20):
            courier.give(number)
        wait_for(lambda: bool(courier.trouble))
        time.sleep(0.2)  # several attempts
        assert courier.trouble == "the test cannot be written: Connection refused"
        receiver.away = False
        wait_for(lambda: len(receiver.taken) == 20)
        wait_for(lambda: not courier.trouble)
    assert receiver.taken == list(range(20))
    assert [record.getMessage() for record in caplog.records] == [
        "the test cannot be written: Connection refused",
        "the test is written again",
    ]


def test_a_receiver_that_says_nothing_for_long_is_told_of_until_it_goes_on(receiver: Receiver) -> None:
    courier: Courier[int] = Courier("the test", receiver, slow_s=0.1)
    receiver.gate.clear()
    courier.start()
    assert not courier.trouble
    courier.give(1)
    wait_for(lambda: courier.trouble == "the test cannot be written: no end of it within 0.1 s")
    receiver.gate.set()
    wait_for(lambda: not courier.trouble)
    courier.close()
    assert receiver.taken == [1]


def test_a_defect_costs_the_things_that_show_it_and_nothing_else(
    courier: Courier[int], receiver: Receiver
) -> None:
    receiver.broken = True
    courier.give(1)
    wait_for(lambda: not courier._queue)
    assert courier.trouble == "the test cannot be written: RuntimeError"
    receiver.broken = False
    courier.give(2)
    courier.close()
    assert (receiver.taken, receiver.lost, courier.trouble) == ([2], [1], "")


@pytest.mark.parametrize("bad", [{0}, {3}, {6}, {7, 8}, {0, 1, 2, 3, 4, 5, 6}, {49}])
def test_what_comes_with_it_in_a_batch_is_taken_once_and_what_was_dropped_is_counted(
    courier: Courier[int], receiver: Receiver, bad: set[int]
) -> None:
    receiver.gate.clear()
    receiver.bad = bad
    for number in range(50):
        courier.give(number)
    receiver.gate.set()
    wait_for(lambda: not courier._queue)
    courier.give(50)
    courier.close()
    assert receiver.taken == [number for number in range(51) if number not in bad]
    assert sum(receiver.lost) == len(bad)


def test_who_goes_away_while_a_bad_one_is_looked_for_gets_each_of_the_others_once(
    courier: Courier[int], receiver: Receiver
) -> None:
    receiver.gate.clear()
    receiver.bad = {4}
    for number in range(7):
        courier.give(number)
    receiver.away = True
    receiver.gate.set()
    wait_for(lambda: bool(courier.trouble))
    receiver.away = False
    wait_for(lambda: bool(receiver.lost))
    assert (receiver.taken, receiver.lost) == ([0, 1, 2, 3, 5, 6], [1])


def test_a_loss_that_makes_a_line_that_is_lost_makes_no_line_for_ever(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the process's own log comes to a receiver that can take nothing of it."""
    given: list[int] = []

    class Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            given.append(1)
            echoed.give(len(given))

    echoed: Courier[int] = Courier("the test", receiver)
    receiver.broken, echo = True, Echo()
    logging.getLogger("qekm.logs.courier").addHandler(echo)
    try:
        echoed.start()
        echoed.give(0)
        wait_for(lambda: bool(given) and not echoed._queue)
        time.sleep(0.1)
    finally:
        logging.getLogger("qekm.logs.courier").removeHandler(echo)
        echoed.close()
    assert len(given) == 1
    assert len(caplog.records) == 1


def test_the_end_waits_no_longer_than_it_may(receiver: Receiver) -> None:
    for hang in (True, False):
        courier: Courier[int] = Courier("the test", receiver)
        courier.start()
        receiver.away = not hang
        if hang:
            receiver.gate.clear()
        courier.give(1)
        begun = time.monotonic()
        courier.close(0.2)
        assert time.monotonic() - begun < 3
        receiver.gate.set()


def test_what_there_is_no_room_for_may_be_merged_into_the_last_and_nothing_is_lost(
    receiver: Receiver,
) -> None:
    courier: Courier[int] = Courier("sums", receiver, most=4, batch=4, merge=sum)
    receiver.gate.clear()
    for number in range(4):
        courier.give(number)
    courier.start()
    wait_for(lambda: receiver.asked)  # a batch is under way
    for number in range(4, 100):
        courier.give(number)
    assert not courier.is_idle
    receiver.gate.set()
    courier.close(PATIENCE_S)
    assert (receiver.taken, receiver.lost) == ([0, 1, 2, sum(range(3, 100))], [])
