"""What stands, looked at by its name."""

from __future__ import annotations

import pytest

from qekm.alarms.conditions import Condition, named, of_certificates
from qekm.expiring import Ending, expiring
from tests.fakes.pki import DAY_US


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_authorities_with_one_name_the_one_that_ends_sooner_is_told_of(order: int) -> None:
    two = [
        Ending("drive-authority", "CN=drives", mark, days * DAY_US) for mark, days in (("aa", 5), ("bb", 50))
    ]
    (found,) = named(of_certificates(expiring(two[::order], 0))).values()
    assert (found.step, found.subject) == ("DAYS_7", "drive-authority/CN=drives") and "aa" in found.text


def test_what_has_another_name_stands_beside_it() -> None:
    two = [Condition("disk.low", "/a", "full"), Condition("disk.low", "/b", "full")]
    assert [*named(two).values()] == two
