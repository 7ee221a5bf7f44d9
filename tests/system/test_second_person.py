"""Two people and the end of a key, as they type it: the real programs, two certificates, a restart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.properties import PROPERTIES
from qekm_gateway.simulator.authority import make_authority
from tests.system.command import ask_qekm, run_qekm
from tests.system.processes import Estate, made

HINT = re.compile(
    r"another person approves it with: qekm approvals approve ([0-9a-f]{8}); then run this again"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Estate]:
    """Return a service with an administrator and a custodian, bob."""
    with made(tmp_path / "home") as estate:
        estate.start(gateway=False)
        done = run_qekm(
            estate.home, "certificates", "issue", "custodian", "bob", "--out", str(estate.home.pki)
        )
        assert done.returncode == 0, done.stderr
        yield estate


def request_of(estate: Estate, *words: str) -> str:
    """Type what takes two people; return the request's id that the hint names."""
    done = run_qekm(estate.home, *words)
    assert done.returncode == 6, done.stderr
    error, hint = done.stderr.splitlines()
    assert error.startswith("qekm: error: a second person must approve this: ")
    found = HINT.search(hint)
    assert found is not None, hint
    return found[1]


def test_a_key_is_destroyed_by_two_and_kept_by_one(running: Estate) -> None:
    home = running.home
    first, second = (key["alias"] for key in ask_qekm(home, "keys", "list")["keys"][:2])
    words = ("keys", "destroy", "--yes", first, second)
    request = request_of(running, *words)
    assert request_of(running, *words) == request
    own = run_qekm(home, "approvals", "approve", request)
    assert own.returncode == 7 and "administrator/administrator asked for this" in own.stderr
    running.kill()  # and all is there again
    running.start(gateway=False)
    (listed,) = ask_qekm(home, "approvals", "list", "--identity", "bob")["approvals"]
    assert (listed["approval_id"], listed["state"]) == (request, "pending")
    approved = run_qekm(home, "approvals", "approve", request, "--identity", "bob")
    assert approved.stdout.endswith(f"destroy 2 keys: {first}, {second} in 7 days\n"), approved.stderr
    gone = run_qekm(home, *words)
    assert gone.returncode == 0, gone.stderr
    assert re.match(r"2 keys to be destroyed at 20..-..-..T..:..:..Z; to call it off before", gone.stdout)
    assert "no backup holds any of them" in gone.stdout
    assert [key["alias"] for key in ask_qekm(home, "keys", "list", "--state", "destroy-pending")["keys"]] == [
        first,
        second,
    ]
    assert run_qekm(home, "keys", "keep", first, "--identity", "bob").stdout == "1 key kept\n"
    assert ask_qekm(home, "keys", "show", first)["keys"][0]["state"] == "quarantined"
    assert run_qekm(home, *words).returncode == 6, "an approval is used once"
    records = ask_qekm(home, "audit", "list", "--limit", "0")["records"]
    told = [(each["event"], each["actor"]) for each in records if each["alias"] == second]
    assert ("key.condemn", "administrator/administrator") in told
    assert run_qekm(home, "audit", "verify").returncode == 0


def test_a_second_administrator_is_made_by_two(running: Estate, tmp_path: Path) -> None:
    home, out = running.home, str(tmp_path)
    words = ("certificates", "issue", "administrator", "carol", "--out", out)
    request = request_of(running, *words)
    assert not (tmp_path / "carol.key").exists()
    assert run_qekm(home, "approvals", "approve", request, "--identity", "bob").returncode == 0
    done = run_qekm(home, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "carol.pem").exists()


def test_where_one_is_enough_every_status_says_so(tmp_path: Path) -> None:
    assert PROPERTIES["twoPerson"].default == "on"
    with made(tmp_path / "home", twoPerson="off") as estate:
        estate.start(gateway=False)
        (alias, *_) = (key["alias"] for key in ask_qekm(estate.home, "keys", "list")["keys"])
        assert run_qekm(estate.home, "keys", "destroy", "--yes", alias).returncode == 0
        told = run_qekm(estate.home, "server", "status").stdout
        assert "one person may destroy, export and restore: twoPerson=off" in told


def test_an_authority_of_drives_is_trusted_by_two(running: Estate, tmp_path: Path) -> None:
    """Whoever names drives alone could have every key served to one of his own."""
    ca = make_authority(now_us()).certificate.public_bytes(Encoding.PEM)
    (tmp_path / "ca.pem").write_bytes(ca)
    words = ("drives", "authorities", "add", str(tmp_path / "ca.pem"))
    request = request_of(running, *words)
    assert ask_qekm(running.home, "drives", "authorities", "list")["authorities"] == []
    assert run_qekm(running.home, "approvals", "approve", request, "--identity", "bob").returncode == 0
    added = run_qekm(running.home, *words)
    assert added.returncode == 0, added.stderr
