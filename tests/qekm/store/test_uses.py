"""The numbers of the uses of keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qekm.store.uses import OLD, next_number, node_bits, node_of

NOW_US = 1_790_000_000_000_000
ONE, OTHER = b"\0" * 7 + b"\1", b"\0" * 7 + b"\2"


@given(st.lists(st.integers(0, 2 * NOW_US)), st.binary(min_size=8, max_size=8))
def test_a_servers_numbers_rise_whatever_its_clock_does(times: list[int], instance: bytes) -> None:
    last: dict[int, int] = {OLD: 7_000}
    numbers = []
    for time_us in times:
        number = next_number(last, instance, time_us)
        last[node_of(number)] = number
        numbers.append(number)
    assert numbers == sorted(set(numbers))
    assert all(number < 2**63 for number in numbers)


def test_two_servers_never_give_the_same_one_and_time_orders_them() -> None:
    one, other = next_number({}, ONE, NOW_US), next_number({}, OTHER, NOW_US)
    assert one != other
    assert (node_of(one), node_of(other)) == (node_bits(ONE), node_bits(OTHER))
    assert max(one, other) < next_number({}, ONE, NOW_US + 1_000)


def test_a_date_that_cannot_be_makes_numbers_of_this_server_all_the_same() -> None:
    for time_us in (-NOW_US, 0, 60_000_000, 1 << 62):
        last: dict[int, int] = {}
        for _ in range(3):
            number = next_number(last, ONE, time_us)
            assert node_of(number) == node_bits(ONE)
            assert last.get(node_of(number), 0) < number < 2**63
            last[node_of(number)] = number


def test_a_store_that_counted_from_one_goes_on_above() -> None:
    assert node_of(41) == OLD
    assert next_number({OLD: 41}, ONE, NOW_US) > 41
