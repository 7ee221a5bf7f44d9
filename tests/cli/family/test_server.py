"""status, version, stopekm, sync, help, exit."""

from pathlib import Path

import pytest

from qekm.errors import NotAllowed, ServiceAway
from qekm.home import Home
from qekm_cli.app import load
from qekm_cli.family import VERBS
from tests.cli.conftest import Qekm
from tests.cli.fake_service import FakeService
from tests.cli.fake_service.peers import other, own

STOPPED = "EKM server cannot be reached. It appears to be stopped.\n"


def test_status_prints_what_the_original_prints(qekm: Qekm, service: FakeService) -> None:
    told = qekm("status")
    assert told.out == "Server is running. TCP port: 3801, SSL port: 443\n"
    assert told.err == "DEGRADED keys are on this disk only (keystore.protect=none)\n"
    service.server.status.tcp_ports[:] = [3901, 3801]
    service.server.status.ssl_port = 0
    assert qekm("status").out == "Server is running. TCP port: 3901, SSL port: none\n"
    document = qekm("status", "--json").document
    assert (document["running"], document["tcp_ports"]) == (True, [3901, 3801])


def test_status_of_a_server_that_is_away_is_the_original_s_answer(qekm: Qekm, service: FakeService) -> None:
    service.server.away = ServiceAway("nobody answers")
    told = qekm("status")
    assert (told.code, told.out, told.err) == (10, STOPPED, "qekm: error: nobody answers\n")
    service.server.away = NotAllowed("not you")
    assert (qekm("status").code, qekm("status").out) == (7, "")


def test_version_prints_what_the_original_prints(qekm: Qekm, service: FakeService) -> None:
    assert qekm("version").out == "Quantum EKM Server Version: 0.1.0\n"
    service.server.away = ServiceAway("nobody answers")
    assert qekm("version").code == 10


def test_stopekm_of_what_does_not_run_says_so(qekm: Qekm, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    told = qekm("stopekm", "--home", str(Home(tmp_path).path))
    assert (told.code, told.out, told.err) == (10, STOPPED, "qekm: error: nothing was running\n")


@pytest.mark.parametrize("what", ["-all", "-config", "-drivetab"])
def test_sync_says_that_there_is_no_peer(qekm: Qekm, what: str) -> None:
    told = qekm("sync", what, "-ipaddr", "other:443", "-merge")
    assert (told.code, told.out) == (6, "")
    assert "other:443 is no peer of this server: none is configured" in told.err


def test_sync_compares_with_the_peer_of_this_address(qekm: Qekm, service: FakeService) -> None:
    service.peers.peers = [own(), other()]
    told = qekm("sync", "-all", "-ipaddr", "ekm2:443", "-rewrite")
    assert (told.code, told.out) == (0, "b: the same, as of 2027-01-15T08:00:00Z\n")
    assert service.peers.repaired == [False]
    told = qekm("sync", "-all", "-ipaddr", "ekm3:443")
    assert told.code == 6
    assert "ekm3:443 is no peer of this server: ekm2:443" in told.err
    service.peers.peers[1].differences.append("keys 00ff")
    assert qekm("sync", "-config", "-ipaddr", "ekm2:443").code == 5


@pytest.mark.parametrize(
    "words",
    [
        "-all",
        "-ipaddr other:443",
        "-all -config -ipaddr other:443",
        "-all -ipaddr other",
        "-all -ipaddr other:443 -merge -rewrite",
    ],
)
def test_sync_checks_how_it_is_asked(qekm: Qekm, words: str) -> None:
    assert qekm("sync", *words.split()).code == 2


def test_help_lists_every_verb_with_ours_beside_it(qekm: Qekm) -> None:
    told = qekm("help")
    assert told.code == 0
    assert told.lines[0].startswith("Usage: qekm ")
    listed = told.lines[told.lines.index("The original's verbs:") + 3 :]
    assert [line.split()[0] for line in listed] == list(VERBS)
    verbs = qekm("help", "--json").document["verbs"]
    assert [one["verb"] for one in verbs] == list(VERBS)
    # What does nothing here is not said to be another thing that does something.
    assert [one["verb"] for one in verbs if not one["ours"]] == ["createkeygroup", "exit"]
    assert [line.split()[1] for line in listed if line.startswith(("createkey", "exit"))] == ["-"] * 2


def test_the_first_page_of_help_does_not_list_them_but_says_where_they_are(qekm: Qekm) -> None:
    page = qekm("--help").out
    assert "qekm help" in " ".join(page.split())
    assert "adddrive" not in page
    assert "adddrive" not in qekm("nonsense").err


def test_exit_does_nothing(qekm: Qekm) -> None:
    told = qekm("exit")
    assert (told.code, told.out, told.err) == (0, "", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_of_its_own(qekm: Qekm, verb: str) -> None:
    told = qekm(verb, "--help")
    assert told.code == 0
    assert told.out.startswith(f"Usage: qekm {verb}")
    assert load(verb).help
