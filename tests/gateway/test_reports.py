"""What the gateway tells the service besides steps is counted and bounded."""

from __future__ import annotations

from qekm.dkp.codes import Code
from qekm.source import OTHERS
from qekm.v1.serving_pb2 import DiagnoseReport, ServeRequest
from qekm_gateway.faults import LOST
from qekm_gateway.reports import Reports


def sent(reports: Reports) -> list[ServeRequest]:
    requests = []
    while reports.waiting:
        requests.append(ServeRequest())
        reports.move_to(requests[-1])
    return requests


def test_refusals_wait_until_they_are_released_and_are_sent_once() -> None:
    reports = Reports()
    reports.refused("a", Code.EE23, "")
    assert not reports.waiting
    reports.release_refusals()
    (request,) = sent(reports)
    assert [(one.source, one.code, one.count) for one in request.refusals] == [("a", Code.EE23, 1)]
    reports.refused("a", Code.EE23, "")
    assert not reports.waiting


def test_the_last_claimed_serial_is_told() -> None:
    reports = Reports()
    for serial in ("1", "2", ""):
        reports.refused("a", Code.EEE1, serial)
    reports.release_refusals()
    assert sent(reports)[0].refusals[0].drive_serial == "2"


def test_many_sources_are_one_beyond_the_bound_and_each_request_is_bounded() -> None:
    reports = Reports()
    for number in range(5_000):
        reports.refused(str(number), Code.EE23, "")
        reports.refused("0", Code.EE23, "")
    reports.release_refusals()
    requests = sent(reports)
    told = {one.source: one.count for request in requests for one in request.refusals}
    assert len(told) == 1_025
    assert told[OTHERS] == 5_000 - 1_024
    assert told["0"] == 5_001
    assert max(len(request.refusals) for request in requests) <= 256


def test_session_ends_go_in_order_bounded_in_a_request_and_in_all() -> None:
    reports = Reports()
    for number in range(10_000):
        reports.ended(number + 1, "a:1", LOST)
    ends = [[end.session_id for end in request.session_ends] for request in sent(reports)]
    assert max(map(len, ends)) <= 256
    assert [one for some in ends for one in some] == list(range(10_000 - 4_096 + 1, 10_001))


def test_each_diagnosis_goes_in_a_request_of_its_own() -> None:
    reports = Reports()
    for number in (1, 2):
        reports.diagnosed(DiagnoseReport(command_id=number))
    assert [request.diagnose_report.command_id for request in sent(reports)] == [1, 2]
