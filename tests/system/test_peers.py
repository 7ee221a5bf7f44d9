"""A second server joins: real processes, the commands as an operator types them, and who should not."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.system.command import ask_qekm, run_qekm
from tests.system.joining import Inviting
from tests.system.processes import START_TIMEOUT_S, Estate


@pytest.fixture(scope="module")
def inviting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inviting]:
    """Return a running server."""
    made = Inviting.make(tmp_path_factory.mktemp("peers"))
    yield made
    made.estate.close()


@pytest.fixture
def invited(inviting: Inviting) -> Iterator[tuple[Inviting, Path, str]]:
    """Return a running server, an invitation of `b`, and the server's fingerprint; the invitation ends."""
    yield (inviting, *inviting.invite())
    if "b" in inviting.peers():
        inviting.remove("b")


Invited = tuple[Inviting, Path, str]


def is_well(estate: Estate) -> bool:
    """Tell whether a server is connected with all others."""
    return run_qekm(estate.home, "peers", "status").returncode == 0


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what other processes make true."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_invited_server_joins_and_starts(inviting: Inviting) -> None:
    file, own = inviting.invite("c")
    assert file.stat().st_mode & 0o777 == 0o600
    with inviting.joining(file, own, "c") as joining:
        shown = joining.wait_waiting()
        waiting = inviting.peers()["c"]
        assert (waiting["state"], waiting["waiting"], waiting["spki_sha256"]) == ("invited", True, shown)
        assert not joining.home.config.exists()
        done = inviting.accept("c", shown)
        assert done.returncode == 0, done.stderr
        assert joining.wait() == 0, joining.said()
    assert inviting.peers()["c"]["state"] == "joined"
    second = Estate(inviting.folder / "c")
    try:
        second.start(gateway=False)
        rows = ask_qekm(second.home, "peers", "list")["peers"]
        assert [(row["name"], row["role"], row["self"]) for row in rows] == [
            ("server", "primary", False),
            ("c", "secondary", True),
        ]
        for each in (inviting.estate, second):
            wait_until(partial(is_well, each))
        done = run_qekm(second.home, "peers", "sync")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("server: the same, as of ")
        assert second.stop() == {"server": 0}
    finally:
        second.close()
    with inviting.joining(file, own, "d") as again:
        assert again.wait() == 8
        assert "candidate/c was revoked" in again.said()
        assert not again.home.config.exists()
    assert any(
        line.startswith("candidate/c: /qekm.v1.PeersService/JoinEstate") for line in inviting.refusals()
    )


def test_who_is_told_another_fingerprint_does_not_even_ask(invited: Invited) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own[:-1] + ("0" if own[-1] != "0" else "1")) as joining:
        assert joining.wait() == 7
        assert "not of the server with this fingerprint" in joining.said()
        assert joining.remains == []
    assert not inviting.peers()["b"]["waiting"]


def test_a_thief_of_the_invitation_is_seen_by_its_fingerprint(invited: Invited) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own, "thief") as thief:
        stolen = thief.wait_waiting()
        with inviting.joining(file, own) as rightful:
            assert rightful.wait() == 7
            assert "another server waits under the name b" in rightful.said()
        done = inviting.accept("b", "ab" * 32)  # what the rightful one showed
        assert done.returncode == 7
        assert "a key of another fingerprint" in done.stderr
        assert inviting.peers()["b"]["spki_sha256"] == stolen
        inviting.remove("b")
        assert thief.wait() == 8, thief.said()
        assert thief.remains == []
    told = inviting.refusals()
    assert any("another server waits under the name b" in line for line in told)
    assert any("a key of another fingerprint" in line for line in told)


def test_a_home_that_exists_is_not_touched_and_the_invitation_not_used(invited: Invited) -> None:
    inviting, file, own = invited
    Estate.make(inviting.folder / "there")
    before = (inviting.folder / "there" / "KeyManagerConfig.properties").read_bytes()
    with inviting.joining(file, own, "there") as joining:
        assert joining.wait() == 4, joining.said()
        assert "holds a key manager already" in joining.said()
        assert joining.home.config.read_bytes() == before
    assert not inviting.peers()["b"]["waiting"]


def test_ctrl_c_leaves_nothing_and_the_invitation_works_on(invited: Invited) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own) as joining:
        joining.wait_waiting()
        joining.end(signal.SIGINT)
        assert joining.remains == []
    with inviting.joining(file, own) as joining:
        joining.wait_waiting()


@pytest.mark.parametrize("failpoint", ["restore.installing", "restore.installed"])
def test_a_kill_leaves_nothing_or_all(invited: Invited, failpoint: str) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own, failpoint, QEKM_FAILPOINT=f"{failpoint}=exit") as joining:
        shown = joining.wait_waiting()
        assert inviting.accept("b", shown).returncode == 0
        assert joining.wait() != 0
        whole = failpoint == "restore.installed"
        assert joining.home.config.exists() is whole
        checked = run_qekm(joining.home, "config", "get", "grpc.port")
        assert (checked.returncode == 6) is not whole, checked.stderr
    if whole:
        return
    inviting.remove("b")
    file, own = inviting.invite()
    with inviting.joining(file, own, failpoint) as again:
        assert inviting.accept("b", again.wait_waiting()).returncode == 0
        assert again.wait() == 0, again.said()


def test_a_kill_while_it_waits_leaves_nothing_that_is_in_the_way(invited: Invited) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own) as joining:
        joining.wait_waiting()
        joining.end()
        assert not joining.home.config.exists()
    inviting.remove("b")
    assert inviting.accept("b", "ab" * 32).returncode == 6


def test_a_server_that_is_killed_meanwhile_lets_in_whom_it_finds_waiting_again(invited: Invited) -> None:
    inviting, file, own = invited
    with inviting.joining(file, own, "patient") as joining:
        shown = joining.wait_waiting()
        inviting.estate.kill()
        inviting.estate.start(gateway=False)
        wait_until(lambda: inviting.peers()["b"]["waiting"] is True)
        assert inviting.accept("b", shown).returncode == 0
        assert joining.wait() == 0, joining.said()
        joining.home.require()
