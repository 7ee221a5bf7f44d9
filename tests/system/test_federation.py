"""Two real servers of one estate: what each is good for to the other, and what is told when it is gone."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from qekm.v1.server_pb2 import GetStatusRequest
from tests.ports import free_port
from tests.system.command import ask_qekm, run_qekm
from tests.system.joining import PASSWORD, Inviting
from tests.system.processes import Estate, run_server
from tests.waiting import wait_for

RATE = "drive.creationsPerHour"


@dataclass
class Pair:
    """The server that was there, and the one that joined it."""

    a: Estate
    b: Estate
    metrics_port: int

    def degraded(self) -> list[str]:
        """Return what the first server says that is not as it should be."""
        with self.a.client() as client:
            return list(client.server.GetStatus(GetStatusRequest()).degraded)

    def ready(self) -> int:
        """Return how many keys of its own the first server may give out."""
        with self.a.client() as client:
            return int(client.server.GetStatus(GetStatusRequest()).ready_key_count)

    def events(self, of: Estate, event: str) -> list[dict[str, Any]]:
        """Return the records of an event."""
        records = ask_qekm(of.home, "audit", "list", "--limit", "0")["records"]
        return [each for each in records if each["event"] == event]

    def value(self, of: Estate, name: str) -> str:
        """Return a property's value."""
        (row,) = ask_qekm(of.home, "config", "list", name)["properties"]
        return str(row["value"])

    def metrics(self) -> str:
        """Return what Prometheus is told."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two servers; the first one's keys are to be at a peer before they are used."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "backups").mkdir()
    password, port = folder / "password", free_port()
    password.write_text(f"{PASSWORD}\n")
    properties = {
        "twoPerson": "off",
        "keystore__protect": "peer",
        "backup__target": str(folder / "backups"),
        "backup__sameDisk": "true",
        "metrics__port": str(port),
    }
    words = ("--host", "127.0.0.1", "--password-file", str(password))
    first = Estate.make(folder / "a", *words, keys=16, **properties)
    second = Estate(folder / "b")
    try:
        first.start(gateway=False)
        inviting = Inviting(first, folder)
        file, own = inviting.invite("b")
        with inviting.joining(file, own) as joining:
            done = inviting.accept("b", joining.wait_waiting())
            assert done.returncode == 0, done.stderr
            assert joining.wait() == 0, joining.said()
        second.start(gateway=False)
        yield Pair(first, second, port)
    finally:
        second.close()
        first.close()


def test_keys_are_ready_once_the_peer_has_them_and_backups_are_made_all_the_same(pair: Pair) -> None:
    wait_for(lambda: pair.ready() == 16, "16 keys are READY")
    wait_for(lambda: not any("no verified backup" in line for line in pair.degraded()), "one")
    keys = {row["alias"] for row in ask_qekm(pair.a.home, "keys", "list")["keys"]}
    wait_for(
        lambda: keys <= {row["alias"] for row in ask_qekm(pair.b.home, "keys", "list")["keys"]}, "all there"
    )


@pytest.mark.parametrize(("at", "there", "value"), [("a", "b", "77"), ("b", "a", "78")])
def test_a_property_that_both_have_is_changed_at_either(pair: Pair, at: str, there: str, value: str) -> None:
    one, other = getattr(pair, at), getattr(pair, there)
    done = run_qekm(one.home, "config", "set", f"{RATE}={value}", "debug=none")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: pair.value(other, RATE) == value, f"{RATE} is {value} at {there}")
    (told,) = [
        each for each in pair.events(other, "configuration.change") if f"-> {value}" in each["message"]
    ]
    name = {"a": "server", "b": "b"}[at]
    assert told["message"].startswith(f"as server {name} has it: {RATE}: ")
    time.sleep(2)
    assert (pair.value(one, RATE), pair.value(other, RATE)) == (value, value)
    assert len([each for each in pair.events(one, "configuration.change") if value in each["message"]]) == 0


def test_the_default_group_is_the_same_at_both_whoever_names_it(pair: Pair) -> None:
    assert run_qekm(pair.a.home, "groups", "create", "tapes").returncode == 0
    for one, other, group in ((pair.a, pair.b, "tapes"), (pair.b, pair.a, "default")):
        done = run_qekm(one.home, "config", "set", f"symmetricKeySet={group}")
        assert done.returncode == 0, done.stderr
        wait_for(lambda: pair.value(other, "symmetricKeySet") == group, f"{group} is the default")  # noqa: B023
        time.sleep(2)
        for each in (one, other):
            groups = ask_qekm(each.home, "groups", "list")["groups"]
            assert [row["name"] for row in groups if row["is_default"]] == [group]
            assert pair.value(each, "symmetricKeySet") == group
            assert "symmetricKeySet" not in run_qekm(each.home, "server", "status").stderr


def test_each_knows_how_far_the_trail_of_the_other_is(pair: Pair) -> None:
    def told_at_b() -> list[dict[str, Any]]:
        found = ask_qekm(pair.b.home, "audit", "checkpoints")["checkpoints"]
        return [each for each in found if each["server"] == "server"]

    wait_for(told_at_b, "b knows of a")
    assert run_qekm(pair.a.home, "audit", "verify").returncode == 0
    (told,) = told_at_b()
    link = next(
        each
        for each in ask_qekm(pair.a.home, "audit", "list", "--limit", "0")["records"]
        if each["sequence"] == told["sequence"]
    )
    assert link["sequence"] == told["sequence"]
    assert len(bytes.fromhex(told["hash"])) == 32


def test_prometheus_is_told_of_the_peer_and_the_keys(pair: Pair) -> None:
    wait_for(lambda: 'qekm_peer_connected{peer="b"} 1.0' in pair.metrics(), "connected")
    told = pair.metrics()
    assert 'qekm_peer_lag_records{peer="b"} ' in told
    assert 'qekm_peer_diverged{peer="b"} 0.0' in told
    assert re.search(r'qekm_keys\{group="default",state="ready"\} [1-9]', told)


def test_a_peer_that_is_gone_is_told_of_and_one_that_is_back(pair: Pair) -> None:
    before = {event: len(pair.events(pair.a, event)) for event in ("peer.silent", "peer.heard")}
    pair.b.kill()
    wait_for(lambda: len(pair.events(pair.a, "peer.silent")) > before["peer.silent"], "silence is an alarm")
    assert any("server b is silent since " in line for line in pair.degraded())
    assert 'qekm_peer_connected{peer="b"} 0.0' in pair.metrics()
    assert pair.a.server is not None
    assert "server b is silent since" in pair.a.server.said()
    pair.b.start(gateway=False)
    wait_for(lambda: len(pair.events(pair.a, "peer.heard")) > before["peer.heard"], "it is back")
    assert not any("silent" in line for line in pair.degraded())


def test_a_trail_that_lost_its_end_is_found_by_what_the_other_knows(pair: Pair) -> None:
    """The last of this module: it stops the first server."""
    found = ask_qekm(pair.b.home, "audit", "checkpoints")["checkpoints"]
    (told,) = [each for each in found if each["server"] == "server"]
    seen = f"{told['sequence']}:{told['hash']}"
    pair.a.stop()
    good = run_server("audit-verify", pair.a.home.path, "--seen", seen)
    assert good.returncode == 0, good.stdout + good.stderr
    bad = run_server(
        "audit-verify", pair.a.home.path, "--seen", f"{told['sequence'] + 10_000}:{told['hash']}"
    )
    assert bad.returncode == 5
    assert "ends here" in bad.stdout
