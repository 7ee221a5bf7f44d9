"""`qekm` against the real service and gateway: every command once, as an operator types it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm.home import Home

from .installation import Installation

FREE_PORTS = [
    word
    for name in (
        "grpc.port",
        "health.port",
        "metrics.port",
        "gateway.metrics.port",
        "TransportListener.tcp.port",
        "TransportListener.ssl.port",
    )
    for word in ("--property", f"{name}=0")
]

ALONE = ("--no-password", "--no-command-password", "--no-shares", "--protect", "none", *FREE_PORTS)


class Site:
    """One key manager and the command that administers it."""

    def __init__(self, programs: Installation, path: Path) -> None:
        self.programs, self.home = programs, Home(path)

    def run(self, *words: str, **more: Any) -> Any:
        """Run `qekm` on this home."""
        return self.programs.run(*words, environment={"QEKM_HOME": str(self.home.path)}, **more)

    def good(self, *words: str, **more: Any) -> str:
        """Run what must work and return what it prints."""
        done = self.run(*words, **more)
        assert (done.returncode, done.stderr) == (0, ""), f"{words}\n{done.stdout}\n{done.stderr}"
        assert isinstance(done.stdout, str)
        return done.stdout

    def document(self, *words: str) -> Any:
        """Run what must work and return its document."""
        return json.loads(self.good(*words, "--json"))

    def end(self) -> None:
        """Leave nothing running."""
        for part in ("gateway", "server"):
            if told := self.home.running(part):
                os.kill(told.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.make(tmp_path_factory.mktemp("whole") / "bin")


@pytest.fixture(scope="module")
def site(programs: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a key manager of 32 keys that runs."""
    site = Site(programs, tmp_path_factory.mktemp("whole") / "home")
    done = site.run("init", "--keys", "32", *ALONE)
    assert done.returncode == 0, done.stderr
    try:
        assert site.good("server", "start") == "service and gateway started\n"
        yield site
    finally:
        site.end()


def test_status_version_and_diagnosis_of_a_running_key_manager(site: Site) -> None:
    lines = site.good("server", "status").splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["service", "running,"], ["gateway", "running,"]]
    assert [line.split()[0] for line in lines[2:6]] == ["keys", "drives", "anchor", "DEGRADED"]
    status = site.document("server", "status")["status"]
    assert status["ready_key_count"] == 32
    assert status["gateways"][0]["pid"] == site.home.running("gateway").pid  # type: ignore[union-attr]
    assert site.document("server", "version")["service"] == status["version"]
    assert [one["status"] for one in site.document("diagnose")["results"]] == ["passed"] * 4
    assert site.document("server", "status")["status"]["ready_key_count"] == 32
    assert site.good("server", "start") == "service and gateway run already\n"


def test_keys_and_groups(site: Site) -> None:
    keys = site.document("keys", "list")["keys"]
    assert len(keys) >= 32
    for name in (keys[0]["alias"], keys[0]["alias"].lower(), keys[0]["dki"]):
        assert site.document("keys", "show", name)["keys"][0]["alias"] == keys[0]["alias"]
    assert site.run("keys", "show", "E01001L4").returncode == 3
    site.good("keystore", "unlock", "--key-file", str(site.home.root_key))
    site.good("groups", "create", "archive", "--on-exhaustion", "refuse")
    assert site.run("groups", "create", "archive").returncode == 4
    made = site.document("keys", "generate", "5", "--group", "archive")
    assert (made["done"], made["total"]) == (5, 5)
    assert len(site.document("keys", "list", "--group", "archive")["keys"]) == 5
    site.good("groups", "move", "archive", keys[-1]["alias"])
    assert site.document("groups", "show", "archive")["key_count"] == 6
    site.good("groups", "modify", "archive", "--on-exhaustion", "reuse")
    assert site.document("groups", "show", "archive")["on_exhaustion"] == "reuse"
    assert site.run("groups", "delete", "archive").returncode == 6
    assert site.run("keys", "generate", "1", "--group", "none").returncode == 3
    assert {group["name"] for group in site.document("groups", "list")["groups"]} == {"default", "archive"}


def test_the_keystore_is_opened_by_its_slots_and_a_forgotten_password_is_set_anew(
    site: Site, tmp_path: Path
) -> None:
    key_file, place = ("--key-file", str(site.home.root_key)), tmp_path / "shares"
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"{name} correct horse\n")
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    site.good("keystore", "slots", "add", "password", "--new-password-file", old, *key_file)
    site.good("keystore", "slots", "add", "shares", "--split", "2/3", "--shares-dir", str(place), *key_file)
    site.good("keystore", "slots", "add", "key-file", str(tmp_path / "own.key"), "--name", "own", *key_file)
    names = [slot["name"] for slot in site.document("keystore", "slots", "list")["slots"]]
    assert names == ["key-file", "own", "password", "shares"]
    shares = [word for n in (1, 3) for word in ("--shares-file", str(place / f"share-{n}.txt"))]
    assert site.good("keystore", "passwd", "--new-password-file", new, *shares).startswith("the password of")
    assert site.run("keystore", "slots", "test", "--password-file", old).returncode == 2
    assert (
        site.good("keystore", "slots", "test", "--password-file", new) == "slot password opens the keystore\n"
    )
    few = site.run("keystore", "unlock", *shares[:2])
    assert (few.returncode, "1 more is missing" in few.stderr) == (2, True)
    site.good("keystore", "lock")
    assert site.run("keys", "generate", "1").returncode == 6
    site.good("keys", "generate", "1", "--key-file", str(tmp_path / "own.key"))
    site.good("keystore", "slots", "remove", "own", "--password-file", new)
    assert site.run("keystore", "slots", "test", "--key-file", str(tmp_path / "own.key")).returncode == 2
    told = [record["message"] for record in site.document("audit", "list", "--limit", "0")["records"]]
    assert "slot own, opened with slot password" in told
    assert not any("horse" in message for message in told)


def test_the_record_key_is_rotated(site: Site) -> None:
    before = site.document("keystore", "status")
    told = site.document("keystore", "rotate", "--key-file", str(site.home.root_key))
    assert told["version"] == before["record_version"] + 1
    assert told["done"] == told["total"]
    assert "Still under an older one  0 keys" in site.good("keystore", "status")


def test_a_repeated_request_makes_no_second_batch(site: Site) -> None:
    site.good("keystore", "unlock", "--key-file", str(site.home.root_key))
    words = ("keys", "generate", "3", "--request-id", "0b7d9a52-6a55-4f0c-9d4e-0d6d1e8c4e11")
    first = site.document(*words)
    count = len(site.document("keys", "list")["keys"])
    again = site.document(*words)
    assert (again["first_alias"], again["last_alias"]) == (first["first_alias"], first["last_alias"])
    assert len(site.document("keys", "list")["keys"]) == count


def test_drives_one_by_one_and_from_a_file(site: Site, tmp_path: Path) -> None:
    site.good("drives", "add", "1300000392", "--wwnn", "500308c09e4a1001", "--vendor", "IBM")
    assert site.run("drives", "add", "001300000392").returncode == 4
    file = tmp_path / "drives.csv"
    file.write_text("serial,product\n001310000363,ULT3580-TD4\n001310000364,\n")
    assert site.good("drives", "add", "--csv", str(file)) == "2 drives added\n"
    assert site.run("drives", "add", "--csv", str(file)).returncode == 2
    assert site.good("listdrives") == (
        "Drive entries: 3\nSerialNumber = 001300000392\n"
        "SerialNumber = 001310000363\nSerialNumber = 001310000364\n"
    )
    assert site.good("listdrives", "-drivename", "1310000363") == (
        "Drive entries: 1\nSerialNumber = 001310000363\n"
    )
    drive = site.document("drives", "modify", "001310000364", "--group", "default", "--no-confirm")
    assert (drive["group"], drive["confirm"]) == ("default", False)
    assert site.document("drives", "show", "001310000364")["label_mode"] == "full"
    assert site.run("drives", "modify", "001310000364", "--group", "none").returncode == 3
    site.good("drives", "remove", "001310000364")
    assert site.run("drives", "show", "001310000364").returncode == 3
    assert site.run("drives", "accept", "001310000364").returncode == 3
    assert site.run("drives", "reject", "001310000364").returncode == 3
    assert len(site.good("drives", "list").splitlines()) == 3


def test_authorities_that_openssl_made(site: Site, tmp_path: Path) -> None:
    words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=Drives -days 10 -keyout ca.key -out ca.pem"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True, cwd=tmp_path)
    added = site.document("drives", "authorities", "add", str(tmp_path / "ca.pem"))
    assert site.document("drives", "authorities", "list")["authorities"] == [added]
    assert site.run("drives", "authorities", "add", str(tmp_path / "ca.pem")).returncode == 4
    assert site.run("drives", "authorities", "add", str(tmp_path / "ca.key")).returncode == 2
    site.good("drives", "authorities", "remove", added["fingerprint"][:12])
    assert site.document("drives", "authorities", "list") == {"authorities": []}


def test_the_trail_tells_what_was_done_and_is_intact(site: Site) -> None:
    assert site.run("groups", "delete", "never-was").returncode == 3
    records = site.document("audit", "list", "--limit", "0")["records"]
    assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
    assert site.document("audit", "list", "--since", "1h", "--limit", "2")["records"] == records[-2:]
    assert site.document("audit", "list", "--since", "2099-01-01") == {"records": []}
    assert all(r["outcome"] == "failure" for r in site.document("audit", "list", "--failed")["records"])
    verdict = site.document("audit", "verify")
    assert verdict["intact"]
    assert verdict["records"] >= len(records)  # the service notes what it does by itself, too


def test_another_person_s_certificate_works_until_it_is_revoked(site: Site) -> None:
    made = site.document("certificates", "issue", "auditor", "anna", "--out", str(site.home.pki))
    assert site.good("keys", "list", "--identity", "anna") == site.good("keys", "list")
    refused = site.run("keys", "generate", "1", "--identity", "anna")
    assert refused.returncode == 7
    assert refused.stderr.startswith("qekm: error: ")
    site.good("certificates", "renew", "--identity", "anna")
    site.good("certificates", "renew", "anna")
    names = [one["name"] for one in site.document("certificates", "list")["certificates"]]
    assert names.count("anna") == 3
    assert site.good("certificates", "revoke", made["serial"], "--reason", "left").count("anna revoked") == 3
    assert site.run("keys", "list", "--identity", "anna").returncode == 8
    assert site.run("keys", "list", "--identity", "nobody").returncode == 8
    assert site.run("certificates", "revoke", "abcdef").returncode == 3
    assert made["role"] == "auditor"
    assert site.good("certificates", "trust") == site.home.trust.read_text()


def test_the_authority_is_changed_while_everything_runs(site: Site) -> None:
    assert site.run("certificates", "rollover", "finish").returncode == 6
    before = site.document("certificates", "trust")
    site.good("certificates", "rollover", "start")
    during = site.run("certificates", "trust", "--json")
    assert json.loads(during.stdout)["rolling"]
    assert "a roll-over is under way" in during.stderr
    for name in ("administrator", "gateway"):
        site.good("certificates", "renew", name, "--revoke-old")
    site.good("certificates", "rollover", "finish")
    after = site.document("certificates", "trust")
    assert after["trust_pem"] == site.home.trust.read_text() != before["trust_pem"]
    site.good("server", "stop")
    site.good("server", "start")
    assert [one["status"] for one in site.document("diagnose")["results"]] == ["passed"] * 4


def test_a_service_elsewhere_is_named_by_its_address(site: Site, tmp_path: Path) -> None:
    told = site.home.running("server")
    assert told is not None
    assert site.good("keys", "list", "--target", f"127.0.0.1:{told.ports['grpc']}") == site.good(
        "keys", "list"
    )
    nobody = site.run("keys", "list", "--target", "127.0.0.1:1")
    assert nobody.returncode == 10
    assert nobody.stderr.startswith("qekm: error: ")
    assert site.run("keys", "list", "--home", str(tmp_path)).returncode == 6


def test_a_gateway_that_was_killed_is_named_and_started_again(site: Site) -> None:
    told = site.home.running("gateway")
    assert told is not None
    os.kill(told.pid, signal.SIGKILL)
    done = site.run("server", "status")
    assert done.returncode == 5
    assert "gateway  down" in done.stdout
    assert site.good("server", "start") == "gateway started\n"
    assert site.run("server", "status").returncode == 0


def test_stop_ends_both_and_status_says_so(site: Site) -> None:
    pids = [told.pid for told in map(site.home.running, ("server", "gateway")) if told]
    assert site.good("server", "stop") == "gateway and service stopped\n"
    assert not any(
        Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids
    )
    done = site.run("server", "status")
    assert (done.returncode, done.stdout.splitlines()[1]) == (5, "gateway  down")
    assert done.stdout.startswith("service  down: ")
    assert site.document("server", "version")["service"] is None
    assert site.good("server", "stop") == "nothing was running\n"
    assert site.run("keys", "list").returncode == 10
    assert site.good("server", "start") == "service and gateway started\n"


def test_a_keystore_with_a_password_needs_it_at_every_start(programs: Installation, tmp_path: Path) -> None:
    site = Site(programs, tmp_path / "home")
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("wrong horse\n")
    words = ("--no-key-file", "--password-file", str(tmp_path / "password"), *ALONE[1:3])
    done = site.run("init", "--keys", "2", *words, "--protect", "none", *FREE_PORTS)
    assert done.returncode == 0, done.stderr
    try:
        done = site.run("server", "start", stdin=subprocess.DEVNULL)
        assert done.returncode == 2
        assert "no terminal to ask on" in done.stderr
        done = site.run("server", "start", "--password-file", str(tmp_path / "wrong"))
        assert done.returncode == 10
        assert "the service did not start: it ended with 2" in done.stderr
        assert "started" in site.good("server", "start", "--password-file", str(tmp_path / "password"))
        command = Path(f"/proc/{site.home.running('server').pid}/cmdline").read_bytes()  # type: ignore[union-attr]
        assert b"horse" not in command
        site.good("server", "stop")
    finally:
        site.end()


def test_init_refuses_a_home_that_is_taken(site: Site) -> None:
    done = site.run("init", *ALONE)
    assert (done.returncode, done.stdout) == (4, "")
    assert "error: " in done.stderr
