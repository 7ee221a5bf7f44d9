"""A real Prometheus scrapes a real site: every panel shows something, and real faults make alerts fire.

One site and one Prometheus; faults come one after another and stay, so all of it is one test, whose steps are
the functions here. Of the rules only `for:` is changed.
"""

from __future__ import annotations

import math
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qekm_gateway.simulator.sense import CheckCondition
from tests.monitoring import table
from tests.monitoring.dashboard import queries
from tests.monitoring.prometheus import RULES, Prometheus, names_in, needed, promtool
from tests.monitoring.site import KEYS, Site, site
from tests.waiting import wait_for

pytestmark = [needed, pytest.mark.slow, pytest.mark.timeout(600)]
JOBS = "qekm", "qekm-gateway"
_OWN = "process_"  # what the client library tells of any process


def families(of: Site, job: str) -> dict[str, Any]:
    """Return what a job tells, by name; counters with _total."""
    found = text_string_to_metric_families(of.told(job))
    named = {f"{each.name}_total" if each.type == "counter" else each.name: each for each in found}
    return {name: each for name, each in named.items() if not name.startswith(_OWN)}


def shows(of: Prometheus, query: str) -> bool:
    """Tell whether a panel of a query shows a number, now or a while ago."""
    return any(map(math.isfinite, of.drawn(query)))


def fires(of: Site, alert: str, **labels: str) -> None:
    """Wait until an alert with these labels fires."""

    def fired() -> bool:
        found = of.prometheus.firing().get(alert, [])
        return any(labels.items() <= each.items() for each in found)

    wait_for(fired, f"{alert} {labels} does not fire: {of.prometheus.firing()}")


def every_panel_shows_something(watched: Site) -> None:
    left = list(queries())
    assert len(left) > 60

    def all_shown() -> bool:
        """Have drives at work: a rate is drawn of a counter that has risen while somebody looked."""
        if watched.written < 8:
            watched.write(1)
        with pytest.raises(CheckCondition):
            watched.write_as_a_stranger()
        left[:] = [each for each in left if not shows(watched.prometheus, each[1])]
        return not left

    with suppress(AssertionError):
        wait_for(all_shown)
    assert not left, "\n".join(f"{panel}: {query}" for panel, query in left)
    assert not shows(watched.prometheus, "qekm_there_is_none")


def the_page_has_all_metrics_that_are_told_with_their_kinds_and_labels_and_no_others(
    watched: Site,
) -> None:
    told = {
        name: (each.type, frozenset(label for sample in each.samples for label in sample.labels) - {"le"})
        for job in JOBS
        for name, each in families(watched, job).items()
    }
    assert told == table.metrics()


def names_are_as_prometheus_wants_them(watched: Site) -> None:
    for job in JOBS:
        done = promtool("check", "metrics", given=watched.told(job))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_would_tell_of_a_bad_name() -> None:
    assert promtool("check", "metrics", given="# HELP aB b\n# TYPE aB counter\naB 1\n").returncode != 0


def dashboard_and_rules_name_only_what_is_told(watched: Site) -> None:
    told = {name for job in JOBS for name in families(watched, job)}
    expressions = re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)
    named = {name for text in (*expressions, *(query for _, query in queries())) for name in names_in(text)}
    recorded = {name for name in named if name not in told}
    assert recorded <= {name.split(":")[1] for name in re.findall(r"record: (\S+)", RULES.read_text())}


def what_is_told_adds_up(watched: Site) -> None:
    found = families(watched, "qekm")
    keys = sum(sample.value for sample in found["qekm_keys"].samples if sample.labels["group"] == "default")
    assert keys >= KEYS
    given = {
        sample.labels["event"]: sample.value
        for sample in found["qekm_events_total"].samples
        if sample.labels["outcome"] == "intent"
    }
    assert (given["key.create"], given["key.serve"]) == (watched.written, watched.written)
    frames = families(watched, "qekm-gateway")["qekm_gateway_frames_in_total"].samples
    by_type = {sample.labels["type"]: sample.value for sample in frames}
    assert by_type["driver_error_notify"] >= by_type["key_status"] >= 6


def nothing_fires_that_should_not_and_every_rule_can_be_evaluated(watched: Site) -> None:
    assert set(watched.prometheus.firing()) <= {"QekmDegraded", "QekmPeerLagging", "QekmRefusalsMany"}
    assert watched.prometheus.unwell() == []


def a_certificate_that_ends_in_five_days_is_told(watched: Site) -> None:
    folder = watched.place.folder / "ann"
    folder.mkdir()
    done = watched.qekm("certificates", "issue", "auditor", "ann", "--days", "5", "--out", folder)
    assert done.returncode == 0, done.stderr
    fires(watched, "QekmCertificateExpiring7Days", role="auditor", name="ann")


def a_backup_that_fails_is_told(watched: Site) -> None:
    shutil.rmtree(watched.backups)
    watched.backups.write_text("where a directory was")  # root writes anywhere else
    assert watched.qekm("backup", "create").returncode != 0
    fires(watched, "QekmBackupFailed")


def a_pool_that_drives_use_up_is_low_and_then_empty(watched: Site) -> None:
    watched.write(KEYS - 2 - watched.written)
    fires(watched, "QekmPoolLow", group="default")
    watched.write(2)
    fires(watched, "QekmPoolEmpty", group="default")
    with pytest.raises(CheckCondition):
        watched.write(1)


def a_server_that_is_gone_is_silent_and_lacks_what_is_new(watched: Site) -> None:
    watched.peer.kill()
    fires(watched, "QekmPeerSilent", peer="b")
    done = watched.qekm("keys", "generate", "150", "--password-file", watched.place.folder / "password")
    assert done.returncode == 0, done.stderr
    fires(watched, "QekmPeerLagging", peer="b")


def a_service_that_is_gone_is_told_and_so_is_its_gateway(watched: Site) -> None:
    watched.place.estate.kill()
    fires(watched, "QekmServiceDown")
    fires(watched, "QekmGatewayCutOff")
    watched.place.estate.kill("gateway")
    fires(watched, "QekmGatewayDown")


STEPS = (
    every_panel_shows_something,
    the_page_has_all_metrics_that_are_told_with_their_kinds_and_labels_and_no_others,
    names_are_as_prometheus_wants_them,
    dashboard_and_rules_name_only_what_is_told,
    what_is_told_adds_up,
    nothing_fires_that_should_not_and_every_rule_can_be_evaluated,
    a_certificate_that_ends_in_five_days_is_told,
    a_backup_that_fails_is_told,
    a_pool_that_drives_use_up_is_low_and_then_empty,
    a_server_that_is_gone_is_silent_and_lacks_what_is_new,
    a_service_that_is_gone_is_told_and_so_is_its_gateway,
)


def test_a_real_prometheus_sees_a_real_site_and_its_faults(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        wait_for(made.prometheus.scraped, "both are scraped")
        made.write(3)
        with pytest.raises(CheckCondition):
            made.write_as_a_stranger()
        for step in STEPS:
            print(step.__name__.replace("_", " "), flush=True)
            step(made)
