"""Which service is tried next, and after which pause."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.configuration.settings import Settings, write_defaults
from qekm.errors import ServiceAway
from qekm.home import Home
from qekm.rpc.tls import Files
from qekm_gateway.services import FIRST_WAIT, LONGEST_WAIT, Turn, services_of


def turn(count: int) -> Turn:
    return Turn(count, lambda: 1.0)


def test_a_lone_service_is_tried_again_ever_more_slowly() -> None:
    lone = turn(1)
    waits = [lone.pass_on() for _ in range(9)]
    assert waits[0] == FIRST_WAIT and waits[-1] == LONGEST_WAIT and waits == sorted(waits)
    assert lone.place == 0


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_of_several_is_tried_at_once_and_a_pause_is_made_after_all(count: int) -> None:
    several = turn(count)
    seen = [(several.place, several.pass_on()) for _ in range(2 * count)]
    assert [place for place, _ in seen] == [*range(count)] * 2
    waits = [wait for _, wait in seen]
    assert [bool(wait) for wait in waits] == ([False] * (count - 1) + [True]) * 2
    assert waits[2 * count - 1] == 2 * waits[count - 1]


def test_after_one_that_served_the_others_are_tried_at_once_whichever_it_was() -> None:
    for served in range(3):
        several = turn(3)
        for _ in range(20 * 3 + served):
            several.pass_on()
        several.lasted()
        assert [several.pass_on() for _ in range(3)] == [0.0, 0.0, FIRST_WAIT]


def test_among_fewer_the_rest_is_never_tried() -> None:
    several = turn(3)
    several.count = 2
    assert {(several.pass_on(), several.place)[1] for _ in range(9)} == {0, 1}


def test_services_are_those_of_the_settings_and_the_own_one_may_not_run(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_defaults(home.config, {"gateway.services": "local, b.example:443", "grpc.port": "0"})
    files = Files(home.certificate("gateway"), home.key("gateway"), home.trust)
    first, second = services_of(home, Settings.load(home.config), files)
    assert (first.name, first.own) == ("local", True)
    assert (second.name, second.own) == ("b.example:443", False)
    with pytest.raises(ServiceAway):
        first.dial()
