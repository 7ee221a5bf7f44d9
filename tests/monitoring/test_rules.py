"""The rules: promtool accepts them, each fires when it should and not otherwise, and says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands import misspelt
from tests.monitoring import table
from tests.monitoring.dashboard import panels, queries
from tests.monitoring.prometheus import RULES, impatient, names_in, needed, promtool
from tests.pages import anchors

DAY = 86_400
EXPRESSIONS = re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)
ALERTS = re.findall(r"^ +- alert: (.+)$", RULES.read_text(), re.MULTILINE)
NAMES = r"qekm_[a-z0-9_]+"


class Case(NamedTuple):
    """An alert, series at which it fires after a while, and such at which it never does."""

    alert: str
    bad: dict[str, str]
    good: dict[str, str]
    interval: str = "1m"
    after: str = "3h"


def ends(days: int, role: str = "auditor") -> dict[str, str]:
    """Return a certificate that has so many days left at the moment at which it is looked at."""
    name = f'qekm_certificate_expiry_timestamp_seconds{{role="{role}",name="ann"}}'
    return {name: f"{3 * 3600 + days * DAY}x200"}


def slow(histogram: str, bound: str) -> dict[str, str]:
    """Return a histogram all of whose values are below a bound, and above half of it."""
    return {
        f'{histogram}_bucket{{le="{le}"}}': steps
        for le, steps in (("0.001", "0x200"), (bound, "0+60x200"), ("+Inf", "0+60x200"))
    }


CASES = [
    Case("QekmServiceDown", {'up{job="qekm"}': "0x200"}, {'up{job="qekm"}': "1x200"}),
    Case("QekmReadOnly", {"qekm_read_only": "1x200"}, {"qekm_read_only": "0x200"}),
    Case("QekmAnswersSlow", slow("qekm_answer_seconds", "2.5"), slow("qekm_answer_seconds", "0.01")),
    Case("QekmCommitsSlow", slow("qekm_commit_seconds", "2.5"), slow("qekm_commit_seconds", "0.01")),
    Case("QekmRefusalsMany", {"qekm_refusals_total": "0+60x200"}, {"qekm_refusals_total": "0+1x200"}),
    Case(
        "QekmKeyDamaged",
        {'qekm_events_total{event="key.damaged"}': "0x170 1x30"},
        {'qekm_events_total{event="key.damaged"}': "0x200"},
    ),
    Case("QekmDegraded", {"qekm_degraded_lines": "2x200"}, {"qekm_degraded_lines": "0x200"}),
    Case("QekmLogTrouble", {"qekm_log_troubles": "1x200"}, {"qekm_log_troubles": "0x200"}),
    Case(
        "QekmPoolLow",
        {"qekm_pool_low": "1x200", "qekm_pool_ready_keys": "2x200"},
        {"qekm_pool_low": "0x200", "qekm_pool_ready_keys": "2x200"},
    ),
    Case(
        "QekmPoolEmpty",
        {"qekm_pool_low": "1x200", "qekm_pool_ready_keys": "0x200"},
        {"qekm_pool_low": "0x200", "qekm_pool_ready_keys": "0x200"},
    ),
    Case("QekmPeerSilent", {"qekm_peer_connected": "0x200"}, {"qekm_peer_connected": "1x200"}),
    Case("QekmPeerLagging", {"qekm_peer_lag_seconds": "61x200"}, {"qekm_peer_lag_seconds": "59x200"}),
    Case("QekmPeerLagging", {"qekm_peer_lag_records": "101x200"}, {"qekm_peer_lag_records": "99x200"}),
    Case("QekmPeerDiverged", {"qekm_peer_diverged": "1x200"}, {"qekm_peer_diverged": "0x200"}),
    Case("QekmCertificateExpiring30Days", ends(29), ends(31)),
    Case("QekmCertificateExpiring30Days", ends(27, "server"), ends(29, "server")),
    Case("QekmCertificateExpiring7Days", ends(6), ends(8)),
    Case("QekmCertificateExpired", ends(-1), ends(1)),
    Case(
        "QekmGatewayCertificateExpiring",
        {"qekm_gateway_certificate_expiry_timestamp_seconds": f"{20 * DAY}x200"},
        {"qekm_gateway_certificate_expiry_timestamp_seconds": f"{40 * DAY}x200"},
    ),
    Case("QekmBackupFailed", {"qekm_backup_failed": "1x200"}, {"qekm_backup_failed": "0x200"}),
    Case(
        "QekmBackupTooOld",
        {
            "qekm_backup_newest_timestamp_seconds": "0x200",
            "qekm_backup_interval_seconds": "3600x200",
            "qekm_backup_target": "1x200",
        },
        {
            "qekm_backup_newest_timestamp_seconds": "0x200",
            "qekm_backup_interval_seconds": "7200x200",
            "qekm_backup_target": "1x200",
        },
    ),
    Case("QekmBackupTargetMissing", {"qekm_backup_target": "0x200"}, {"qekm_backup_target": "1x200"}),
    Case(
        "QekmBackupDrillLate",
        {"qekm_backup_drill_timestamp_seconds": "1x220"},
        {"qekm_backup_drill_timestamp_seconds": f"{20 * DAY}x220"},
        "12h",
        "100d",
    ),
    Case("QekmStoreDiskFull", {"qekm_store_free_bytes": "1000x200"}, {"qekm_store_free_bytes": "9e9x200"}),
    Case("QekmGatewayDown", {'up{job="qekm-gateway"}': "0x200"}, {'up{job="qekm-gateway"}': "1x200"}),
    Case("QekmGatewayMissing", {"qekm_gateways": "0x200"}, {"qekm_gateways": "1x200"}),
    Case(
        "QekmGatewayCutOff",
        {
            'qekm_gateway_stream_connected{service="a"}': "0x200",
            'qekm_gateway_stream_connected{service="b"}': "0x200",
        },
        {
            'qekm_gateway_stream_connected{service="a"}': "0x200",
            'qekm_gateway_stream_connected{service="b"}': "1x200",
        },
    ),
    Case(
        "QekmGatewayUnsteady",
        {"qekm_gateway_streams_total": "0+1x200"},
        {"qekm_gateway_streams_total": "5x200"},
    ),
    Case(
        "QekmGatewayFull",
        {'qekm_gateway_connections_refused_total{reason="address"}': "0+1x200"},
        {'qekm_gateway_connections_refused_total{reason="protocol"}': "0+1x200"},
    ),
    Case(
        "QekmGatewayIncident",
        {"qekm_gateway_incidents_total": "0x170 1x30"},
        {"qekm_gateway_incidents_total": "7x200"},
    ),
    Case(
        "QekmTlsFailures",
        {"qekm_gateway_tls_failures_total": "0+60x200"},
        {"qekm_gateway_tls_failures_total": "0+1x200"},
    ),
]


def at(name: str, place: str) -> str:
    """Return a series of an instance of its own, which no other trial sees."""
    metric, _, labels = name.rstrip("}").partition("{")
    return f'{metric}{{{labels}{"," if labels else ""}instance="{place}"}}'


def trials(cases: list[Case], wrong: bool = False) -> dict[str, object]:
    """Return one test of promtool's over all cases, each twice: how many such alerts fire.

    wrong: with the opposite of what is to be.
    """
    series, questions = [], []
    for number, case in enumerate(cases):
        for expected, given in ((1, case.bad), (0, case.good)):
            place = f"{number}-{expected}"
            series += [{"series": at(name, place), "values": values} for name, values in given.items()]
            firing = f'ALERTS{{alertname="{case.alert}",alertstate="firing",instance="{place}"}}'
            sample = {"labels": "{}", "value": 1 - expected if wrong else expected}
            expr = f"count({firing}) or vector(0)"
            questions.append({"expr": expr, "eval_time": case.after, "exp_samples": [sample]})
    return {"interval": cases[0].interval, "input_series": series, "promql_expr_test": questions}


def tried(folder: Path, cases: list[Case], wrong: bool = False) -> tuple[int, str]:
    """Run trials with promtool and return its code and what it said."""
    (folder / RULES.name).write_text(RULES.read_text())
    file = folder / "trials.yml"
    tests = {"evaluation_interval": cases[0].interval, "tests": [trials(cases, wrong)]}
    file.write_text(json.dumps({"rule_files": [RULES.name], **tests}))
    done = promtool("test", "rules", file)
    return done.returncode, done.stdout + done.stderr


@needed
def test_promtool_accepts_the_rules_and_the_example_of_a_configuration() -> None:
    for words in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        done = promtool("check", *words)
        assert done.returncode == 0, done.stdout + done.stderr


@needed
@pytest.mark.parametrize("interval", ["1m", "12h"])
def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path, interval: str) -> None:
    cases = [case for case in CASES if case.interval == interval]
    code, said = tried(tmp_path, cases)
    assert code == 0, said


@needed
def test_an_alert_that_does_not_fire_would_be_found(tmp_path: Path) -> None:
    code, said = tried(tmp_path, CASES[:3], wrong=True)
    assert code != 0
    assert said.count("expr:") == 6


def test_every_alert_is_tried() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)


def test_each_alert_has_a_severity_and_texts_and_its_place_in_the_page() -> None:
    headings = anchors(table.PAGE)
    for block in RULES.read_text().split("- alert: ")[1:]:
        name = block.partition("\n")[0]
        assert re.search(r"severity: (critical|warning|info)\n", block), name
        assert re.search(r"summary: '.+'\n", block), name
        assert re.search(r"description: '.+'\n", block), name
        assert f"runbook_url: docs/monitoring.md#{name.lower()}\n" in block
        assert name.lower() in headings


def test_the_page_says_of_each_alert_what_the_rule_says() -> None:
    page = table.PAGE.read_text()
    assert re.findall(r"^### (Qekm.+)$", page, re.MULTILINE) == ALERTS
    alerts = RULES.read_text().split("- alert: ")[1:]
    for name, block in zip(ALERTS, alerts, strict=True):
        (expression,) = re.findall(r"^ +expr: (.+)$", block, re.MULTILINE)[:1]
        assert f"### {name}\n\n`{expression}`" in page


def test_the_commands_that_alerts_name_exist() -> None:
    named = set(re.findall(r"`((?:qekm|qekm-server) [^`]+)`", RULES.read_text()))
    plain = {re.sub(r"\{\{.+?\}\}", "NAME", each) for each in named}
    assert len(plain) > 10
    assert {line: misspelt(line) for line in plain if misspelt(line)} == {}


def test_rules_and_dashboard_name_only_metrics_of_the_page() -> None:
    known = set(table.metrics())
    recorded = {name.split(":")[1] for name in re.findall(r"record: (\S+)", RULES.read_text())}
    for text in (*EXPRESSIONS, *(query for _, query in queries())):
        assert names_in(text) <= known | recorded, text


def test_every_metric_is_in_a_panel() -> None:
    shown = {name for _, query in queries() for name in names_in(query)}
    assert set(table.metrics()) - shown == set()


def test_a_panel_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_rules_that_do_not_wait_have_the_same_thresholds() -> None:
    changed = impatient(RULES.read_text())
    assert set(re.findall(r"for: (.+)", changed)) == {"0s"}
    assert re.sub(r"for: .+", "", changed) == re.sub(r"for: .+", "", RULES.read_text())
