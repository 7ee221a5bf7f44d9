"""Who gets a place on the drives' port."""

from __future__ import annotations

import resource

from qekm_gateway.admission import Admission, connection_limit


class Visitor:
    """A connection that leaves when it is asked, unless it is busy."""

    def __init__(self, admission: Admission, host: str, *, busy: bool = False) -> None:
        self.admission, self.host, self.busy = admission, host, busy
        self.gone = False

    def enter(self) -> bool:
        return self.admission.enter(self.host, self)

    def leave(self) -> bool:
        if not self.busy:
            self.gone = True
            self.admission.leave(self.host, self)
        return not self.busy

    def drain(self) -> None:
        self.leave()


def test_an_address_has_its_places_and_gets_them_back() -> None:
    admission = Admission(2, 100)
    first, second, third = (Visitor(admission, "a") for _ in range(3))
    assert (first.enter(), second.enter(), third.enter()) == (True, True, False)
    assert Visitor(admission, "b").enter()
    third.leave()  # was never admitted
    assert not third.enter()
    admission.leave("a", first)
    admission.leave("a", first)
    assert third.enter()
    assert not Visitor(admission, "a").enter()


def test_nothing_is_remembered_of_who_has_gone() -> None:
    admission = Admission(2, 100)
    for number in range(1_000):
        visitor = Visitor(admission, str(number))
        assert visitor.enter()
        admission.leave(str(number), visitor)
    assert len(admission) == 0
    assert admission._count == {}


def test_a_full_house_makes_room_by_its_oldest_stranger() -> None:
    admission = Admission(10, 3)
    drive, old, new = Visitor(admission, "a"), Visitor(admission, "b"), Visitor(admission, "c")
    assert drive.enter() and old.enter() and new.enter()
    admission.served(drive)
    admission.served(drive)
    assert Visitor(admission, "d").enter()
    assert (drive.gone, old.gone, new.gone) == (False, True, False)
    assert len(admission) == 3


def test_a_house_full_of_drives_takes_no_more() -> None:
    admission = Admission(10, 2)
    drive, busy = Visitor(admission, "a"), Visitor(admission, "b", busy=True)
    assert drive.enter() and busy.enter()
    admission.served(drive)
    assert not Visitor(admission, "c").enter()
    busy.busy = False
    assert Visitor(admission, "c").enter()


def test_the_limit_leaves_descriptors_for_everything_else() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limit = connection_limit()
        assert 0 < limit < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert connection_limit() == limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
