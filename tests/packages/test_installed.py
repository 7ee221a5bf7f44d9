"""The life of a package on a machine of its own: each test goes on where the one before it ended."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from qekm import __version__
from tests.packages.conftest import EARLIER
from tests.packages.machine import Machine
from tests.waiting import wait_for

UNITS = ("qekm-server", "qekm-gateway")
HOME = "/var/lib/qekm"
DRIVE = "001300000392"  # the simulator's first
INIT = ("--no-password", "--no-command-password", "--no-shares", "--protect", "none", "--keys", "64")
WORDS = "destroy all keys"
QUICK = "[Service]\nWatchdogSec=3\nRestartSec=100ms\n"  # so that a test need not wait for half a minute

pytestmark = [pytest.mark.root, pytest.mark.timeout(1_200)]  # the first one waits for Debian to be unpacked


def states(machine: Machine) -> list[str]:
    return [machine.shown(unit, "ActiveState") for unit in UNITS]


def started(machine: Machine) -> list[int]:
    """Return when each unit was last started, in microseconds of the machine's own clock."""
    return [int(machine.shown(unit, "ExecMainStartTimestampMonotonic")) for unit in UNITS]


def drive(machine: Machine, *words: str) -> dict[str, object]:
    """Have the simulated drive do something with a cartridge, and return what it tells."""
    who = ("--library", "/srv/library", "--drive", DRIVE, "--cartridge", "/srv/A00001L4.tape")
    whom = ("--server", "127.0.0.1:3801", "--anchor-ca", f"{HOME}/pki/trust.pem")
    told = machine.run("qekm-simulator", words[0], *who, *whom, *words[1:])
    return dict(json.loads(told.splitlines()[-1]))


def serves(machine: Machine) -> bool:
    """Tell whether both processes run and know each other."""
    return machine.try_("qekm", "server", "status").returncode == 0


def read_back(machine: Machine) -> bytes:
    drive(machine, "read", "--output", "/srv/read")
    return (machine.tree / "srv" / "read").read_bytes()


def test_installing_starts_nothing_and_says_what_comes_next(machine: Machine) -> None:
    said = machine.run("dpkg", "--install", "/srv/earlier.deb")
    assert "qekm init" in said
    assert "systemctl enable --now qekm-server qekm-gateway" in said
    machine.run("systemctl", "start", *UNITS)  # there is nothing to serve, and that is no failure
    assert states(machine) == ["inactive", "inactive"]
    assert machine.run("stat", "--format=%U %a", HOME).split() == ["qekm", "700"]


def test_systemd_has_nothing_to_say_of_the_units_where_they_are_installed(machine: Machine) -> None:
    machine.run("systemd-analyze", "verify", "--man=no", *(f"{unit}.service" for unit in UNITS))


def test_root_makes_a_key_manager_that_the_service_can_read_and_systemd_starts_it(machine: Machine) -> None:
    machine.run("qekm", "init", *INIT)
    owners = machine.run("find", HOME, "-printf", "%U:%G\\n")
    assert len(set(owners.split())) == 1
    assert "0:0" not in owners
    assert "systemctl enable --now" in machine.run("qekm", "server", "start")
    assert states(machine) == ["active", "active"]
    assert machine.shown("qekm-server", "StatusText").startswith("serving on ports grpc 3802")
    assert "ssl 443" in machine.shown("qekm-server", "StatusText")
    assert "3801" in machine.shown("qekm-gateway", "StatusText")
    wait_for(lambda: serves(machine), "gateway and service did not find each other")


def test_a_drive_writes_a_cartridge_and_reads_it_back(machine: Machine) -> None:
    machine.run("qekm-simulator", "init", "/srv/library")
    authority = "/srv/library/authority/ca.pem"
    machine.run("install", "-m", "0644", authority, "/tmp/ca.pem")  # root's own files are not the service's
    machine.run("qekm", "drives", "authorities", "add", "/tmp/ca.pem")
    (machine.tree / "srv" / "data").write_bytes(bytes(range(256)) * 4_000)
    drive(machine, "write", "--volser", "A00001L4", "/srv/data")
    assert read_back(machine) == bytes(range(256)) * 4_000


def test_the_processes_are_the_user_s_and_may_do_what_they_must_and_no_more(machine: Machine) -> None:
    for unit, rights in zip(UNITS, ("cap_net_bind_service", ""), strict=True):
        pid = machine.shown(unit, "MainPID")
        status = machine.run("cat", f"/proc/{pid}/status")
        assert re.search(r"^NoNewPrivs:\s+1$", status, flags=re.M)
        assert re.search(r"^Seccomp:\s+2$", status, flags=re.M)
        held = int(re.search(r"^CapPrm:\s+(\w+)$", status, flags=re.M)[1], 16)  # type: ignore[index]
        assert held == (1 << 10 if rights else 0)
        assert "0 " in machine.run("grep", "Max core file size", f"/proc/{pid}/limits")


def inside(machine: Machine, unit: str, *words: str) -> int:
    """Return how a program ends that sees what a unit's process sees, as its user."""
    entered = ("nsenter", "-t", machine.shown(unit, "MainPID"), "-m", "--", "runuser", "-u", "qekm", "--")
    return machine.try_(*entered, *words).returncode


def test_the_gateway_does_not_see_what_opens_the_keystore(machine: Machine) -> None:
    for unit, sees in zip(UNITS, (True, False), strict=True):
        for secret in ("root.key", "store/qekm.db", "pki/administrator.key", "pki/server.key"):
            assert (inside(machine, unit, "test", "-e", f"{HOME}/{secret}") == 0) is sees, secret


def test_what_the_gateway_writes_is_its_own(machine: Machine) -> None:
    append = f"echo backup.command=x >> {HOME}/KeyManagerConfig.properties; : > {HOME}/pki/trust.pem"
    inside(machine, "qekm-gateway", "sh", "-c", append)
    home = machine.tree / HOME[1:]
    assert "backup.command=x" not in (home / "KeyManagerConfig.properties").read_text()
    assert (home / "pki/trust.pem").stat().st_size
    (home / "gateway/pki/trust.pem").unlink()
    machine.run("systemctl", "restart", "qekm-gateway")  # it is given them anew
    wait_for(lambda: serves(machine), "they did not find each other again")


@pytest.mark.parametrize("unit", UNITS)
def test_a_process_that_stands_still_is_started_again(machine: Machine, unit: str) -> None:
    drop_in = machine.tree / f"etc/systemd/system/{unit}.service.d/quick.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(QUICK)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", unit)
    pid = machine.shown(unit, "MainPID")
    machine.run("sh", "-c", f"kill -STOP {pid}")
    wait_for(lambda: machine.shown(unit, "MainPID") not in (pid, "0"), "it was not started again")
    wait_for(lambda: machine.shown(unit, "ActiveState") == "active", "it did not come up")
    assert int(machine.shown(unit, "NRestarts")) >= 1  # 3 s may be little for the new one, too
    assert "watchdog" in machine.run("journalctl", "--unit", unit, "--no-pager", "--output", "cat").lower()
    wait_for(lambda: serves(machine), "they did not find each other again")
    shutil.rmtree(drop_in.parent)


def test_a_key_that_only_systemd_can_open_opens_the_keystore(machine: Machine) -> None:
    key, sealed = f"{HOME}/root.key", "/etc/qekm-root.cred"
    machine.run("systemd-creds", "encrypt", "--name=root.key", key, sealed)
    drop_in = machine.tree / "etc/systemd/system/qekm-server.service.d/key.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\nLoadCredentialEncrypted=root.key:{sealed}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "qekm-server")
    machine.run("qekm-server", "config", "set", "keystore.keyFile=credential:root.key")
    machine.run("mv", key, "/srv/root.key")
    machine.run("systemctl", "start", "qekm-server")
    machine.run("systemctl", "stop", "qekm-server")
    machine.run("mv", "/srv/root.key", key)
    machine.run("qekm-server", "config", "unset", "keystore.keyFile")
    shutil.rmtree(drop_in.parent)
    machine.run("rm", sealed)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "qekm-server")
    wait_for(lambda: serves(machine), "they did not find each other again")


def test_an_upgrade_stops_and_starts_them_in_order_and_loses_nothing(machine: Machine) -> None:
    before = started(machine)
    assert machine.run("dpkg-query", "--show", "--showformat=${Version}", "qekm") == EARLIER
    said = machine.run("dpkg", "--install", "/srv/qekm.deb")
    assert "migrated on a copy" in said
    assert machine.run("dpkg-query", "--show", "--showformat=${Version}", "qekm") == __version__
    server, gateway = started(machine)
    assert before[0] < server < gateway
    wait_for(lambda: serves(machine), "they did not find each other again")
    assert read_back(machine) == bytes(range(256)) * 4_000


def test_what_was_stopped_stays_so_over_an_upgrade(machine: Machine) -> None:
    machine.run("systemctl", "stop", "qekm-gateway")
    machine.run("dpkg", "--install", "/srv/qekm.deb")
    assert states(machine) == ["active", "inactive"]
    machine.run("systemctl", "start", "qekm-gateway")


def test_removing_stops_them_and_keeps_the_keystore(machine: Machine) -> None:
    machine.run("dpkg", "--remove", "qekm")
    assert states(machine) == ["inactive", "inactive"]
    assert not (machine.tree / "usr/lib/qekm").exists()
    assert (machine.tree / f"{HOME[1:]}/root.key").exists()


def test_what_was_removed_comes_back_with_its_keys(machine: Machine) -> None:
    machine.run("dpkg", "--install", "/srv/qekm.deb")
    machine.run("systemctl", "start", *UNITS)
    wait_for(lambda: serves(machine), "gateway and service did not find each other")
    assert read_back(machine) == bytes(range(256)) * 4_000


def test_words_that_are_others_destroy_nothing(machine: Machine) -> None:
    said = machine.run("/var/lib/dpkg/info/qekm.postrm", "purge", QEKM_PURGE="yes")
    assert "says something else" in said
    assert (machine.tree / f"{HOME[1:]}/root.key").exists()


def test_a_purge_keeps_the_keystore_and_says_where_it_is(machine: Machine) -> None:
    said = machine.run("dpkg", "--purge", "qekm")
    assert "kept in /var/lib/qekm" in said
    assert WORDS in said
    assert (machine.tree / f"{HOME[1:]}/root.key").exists()
    assert not (machine.tree / "etc/default/qekm").exists()
    machine.run("dpkg", "--install", "/srv/qekm.deb")


def test_a_purge_that_is_told_in_words_destroys_the_keystore(machine: Machine) -> None:
    machine.run("systemctl", "start", *UNITS)
    said = machine.run("dpkg", "--purge", "qekm", QEKM_PURGE=WORDS)
    assert "is destroyed" in said
    assert states(machine) == ["inactive", "inactive"]
    left = machine.run("find", "/", "-xdev", "-not", "-path", "/proc/*", "-name", "*qekm*")
    assert [path for path in left.split() if not path.startswith(("/srv", "/run"))] == []
    assert not Path(machine.tree, HOME[1:]).exists()
