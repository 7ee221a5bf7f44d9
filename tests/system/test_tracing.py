"""Traces of the real processes, at a real collector, and without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason="qekm[tracing] is not installed")

from qekm.dkp.fields import MessageType
from qekm.v1.server_pb2 import GetStatusRequest
from tests.ports import free_port
from tests.system.collector import collecting
from tests.system.processes import environment, made
from tests.system.staging import Stage
from tests.waiting import wait_for


def test_an_exchange_is_one_trace_from_the_frame_to_the_commit(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        made(
            tmp_path / "home",
            keys=32,
            drive__acceptUnknownDrives="false",
            tracing__endpoint=f"http://127.0.0.1:{collector.port}",
        ) as estate,
    ):
        estate.start()
        with estate.client() as client:
            stage = Stage(estate, client).set_up()
            drive = stage.drive()
            assert stage.play(drive)[0][5] == MessageType.COMPLETE
            status = client.server.GetStatus(GetStatusRequest())
        assert not [line for line in status.degraded if "traces" in line]
        assert set(estate.stop().values()) == {0}  # which sends what waits
    exchange = collector.named("qekm-gateway", "exchange")[-1]
    assert exchange.attributes["qekm.drive_serial"] == drive.serial and not exchange.error
    steps = [span for span in collector.named("qekm-gateway", "step") if span.parent == exchange.id]
    assert [span.attributes["qekm.message"] for span in steps] == [
        *("driver_error_notify", "query_dsk_reply", "key_status"),
    ]
    assert [span.attributes["qekm.answer"] for span in steps] == ["query_dsk", "set_key", "complete"]
    decided = {span.parent: span for span in collector.named("qekm-server", "decide")}
    assert all(decided[step.id].attributes["qekm.answer"] == step.attributes["qekm.answer"] for step in steps)
    commits = {span.parent for span in collector.named("qekm-server", "commit")}
    assert [decided[step.id].id in commits for step in steps] == [False, True, True]
    ours = {span.trace for span in collector.spans if span.id in {exchange.id, *(s.id for s in steps)}}
    assert ours == {exchange.trace}
    (call,) = collector.named("qekm-server", "qekm.v1.ServerService/GetStatus")
    assert call.attributes["qekm.actor"] == "administrator/administrator"
    assert call.attributes["rpc.grpc.status_code"] == 0 and not call.parent
    keys = {key for span in collector.spans for key in span.attributes}
    assert keys == {
        *("qekm.drive_serial", "qekm.source", "qekm.message", "qekm.answer", "qekm.gateway", "qekm.actor"),
        *("rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"),
    }, "neither aliases nor anything of a key"


def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with made(
        tmp_path / "home", keys=32, drive__acceptUnknownDrives="false", tracing__endpoint=endpoint
    ) as estate:
        estate.start()
        with estate.client() as client:
            stage = Stage(estate, client).set_up()
            drive = stage.drive()
            kinds = {stage.play(drive)[0][5] for _ in range(5)}
            told = f"no traces: {endpoint} (tracing.endpoint) does not take them"
            wait_for(lambda: told in client.server.GetStatus(GetStatusRequest()).degraded)
        assert kinds == {MessageType.COMPLETE}
        assert set(estate.stop().values()) == {0}
        said = (estate.home.path / "server.out").read_text()
    assert said.count("does not take them") == 1 and "opentelemetry" not in said


def test_who_wants_no_traces_loads_nothing_of_them() -> None:
    words = "import sys, qekm.service, qekm_gateway.server; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], env=environment(), check=False).returncode == 0
