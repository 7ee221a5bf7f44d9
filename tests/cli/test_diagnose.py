"""`qekm diagnose` against a service in memory."""

from qekm.errors import GatewayAway

from .conftest import Qekm
from .fake_service import FakeService


def test_four_tests_that_pass_end_with_0(qekm: Qekm) -> None:
    told = qekm("diagnose")
    assert told.code == 0
    assert [line.split()[2:6] for line in told.lines[1:]] == [
        [test, "passed", "1.5", "ms"] for test in ("ping", "drive", "path", "config")
    ]


def test_a_test_that_fails_ends_with_a_bad_verdict(qekm: Qekm, service: FakeService) -> None:
    service.diagnosis.failed = 3
    told = qekm("diagnose", "--json")
    assert told.code == 5
    assert [one["status"] for one in told.document["results"]] == ["passed", "passed", "failed", "skipped"]


def test_without_a_gateway_the_hint_says_how_to_start_it(qekm: Qekm, service: FakeService) -> None:
    def nobody(*_: object, timeout: float) -> object:
        raise GatewayAway("no gateway is connected")

    service.diagnosis.Diagnose = nobody  # type: ignore[method-assign, assignment]
    told = qekm("diagnose")
    assert told.code == 10
    assert told.err == "qekm: error: no gateway is connected\nqekm: hint: start it with: qekm server start\n"


def test_it_takes_no_arguments(qekm: Qekm) -> None:
    assert qekm("diagnose", "everything").code == 2
