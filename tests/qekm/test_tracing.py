"""Where a trace goes on, and that one that cannot be had is said, and costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qekm.configuration.settings import Settings
from qekm.tracing import Traces, context_of, traceparent_of

GOOD = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD[:-2] + "00",
        "01" + GOOD[2:],
        GOOD.upper(),
        GOOD + "\n",
        f"00-{'0' * 32}-{'cd' * 8}-01",
    ],
)
def test_what_is_no_sampled_traceparent_goes_on_nowhere(text: str) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="qekm[tracing] is not installed")
    assert context_of(text) is None


def test_a_traceparent_goes_on_where_it_says() -> None:
    trace = pytest.importorskip("opentelemetry.trace", reason="qekm[tracing] is not installed")
    context = context_of(GOOD)
    assert context is not None
    assert traceparent_of(trace.get_current_span(context)) == GOOD


def test_a_service_without_the_packages_or_the_file_says_so_and_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings({"tracing.endpoint": "https://localhost:4317", "tracing.trust": "no.pem"}, {})
    traces = Traces("qekm-server", settings, tmp_path)
    assert traces.tracing is None
    assert traces.lines()[0].startswith("no traces: ")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    (line,) = Traces("qekm-server", settings, tmp_path).lines()
    assert line.endswith("OpenTelemetry is not installed: pip install 'qekm[tracing]'")
    assert Traces("qekm-server", Settings({}, {}), tmp_path).lines() == []
