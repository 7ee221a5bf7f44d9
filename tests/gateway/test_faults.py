"""What the log keeps of internal errors."""

from __future__ import annotations

import pytest

from qekm_gateway.faults import Incidents


def test_an_incident_has_a_number_a_kind_and_a_place_but_no_text(caplog: pytest.LogCaptureFixture) -> None:
    incidents = Incidents()
    try:
        raise ValueError("key material")
    except ValueError as error:
        number = incidents.record(error)
    assert number in caplog.text
    assert "ValueError" in caplog.text
    assert "test_an_incident_has" in caplog.text
    assert "key material" not in caplog.text
    assert caplog.records[0].exc_info is None


def test_only_so_many_a_minute_are_written_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    incidents = Incidents(limit=3, now=lambda: now[0])
    for _ in range(100):
        incidents.record(ValueError())
    assert len(caplog.records) == 4
    now[0] = 61
    incidents.record(ValueError())
    assert len(caplog.records) == 5
    assert incidents.count == 101
