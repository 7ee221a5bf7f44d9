"""Decisions of the doctor that no machine of a test can be brought to: pure, over facts."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qekm.doctor import (
    disks,
    libraries,
    limits,
    permissions,
    place,
    ports,
    processes,
    stores,
    units,
    versions,
)
from qekm.doctor.finding import Seen
from qekm.doctor.steps import Kind
from qekm.properties.listeners import PORTS

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def worst(seen: Iterable[Seen]) -> tuple[str, str]:
    """Return the verdict of the worst thing seen, and what is told of it."""
    order = ("not looked at", "ok", "warning", "broken")
    found = max(seen, key=lambda each: order.index(each.verdict.value))
    return found.verdict.value, f"{found.told} -> {found.advice}"


@pytest.mark.parametrize(
    ("requirement", "installed", "verdict"),
    [
        ("grpcio>=1.85.1", "1.85.1", "ok"),
        ("grpcio>=1.85.1", "1.100", "ok"),
        ("grpcio>=1.85.1", "1.9.3", "broken"),
        ("cryptography>=46", "46.0.0rc1", "ok"),
        ("cryptography>=46", "", "broken"),
        ("typer<0.29,>=0.26", "0.25", "broken"),
        ('pytest>=8.4; extra == "dev"', "", "ok"),
    ],
)
def test_libraries_older_than_their_floors(requirement: str, installed: str, verdict: str) -> None:
    assert worst(libraries.judge([requirement], lambda _: installed))[0] == verdict


def volume(**more: object) -> disks.Volume:
    told = {"free": 1 << 40, "inodes": -1, "read_only": False, "writable": True}
    return disks.Volume("store", Path("/v"), **(told | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "verdict", "words"),
    [
        ({}, "ok", "MiB left"),
        ({"free": 100 << 20}, "warning", "100 MiB left"),
        ({"free": 1 << 20}, "broken", "is full"),
        ({"inodes": 3}, "broken", "no inodes left"),
        ({"inodes": 500}, "warning", "500 inodes"),
        ({"read_only": True, "free": 0}, "broken", "read-only"),
        ({"writable": False}, "broken", "the user qekm may not write"),
    ],
)
def test_disks(fact: dict[str, object], verdict: str, words: str) -> None:
    found = worst(disks.judge([volume(**fact)], "qekm"))
    assert (found[0], words in found[1]) == (verdict, True), found


@pytest.mark.parametrize(
    ("rank", "mode", "verdict"),
    [
        (permissions.CLOSED, stat.S_IFREG | 0o600, "ok"),
        (permissions.CLOSED, stat.S_IFREG | 0o604, "broken"),
        (permissions.OURS, stat.S_IFREG | 0o644, "warning"),
        (permissions.OURS, stat.S_IFREG | 0o664, "broken"),
        (permissions.OURS, stat.S_IFDIR | 0o755, "ok"),
        (permissions.OURS, stat.S_IFDIR | 0o775, "broken"),
        (permissions.OURS, stat.S_IFLNK | 0o777, "ok"),
    ],
)
def test_permissions(rank: str, mode: int, verdict: str) -> None:
    entry = permissions.Entry(Path("/h/x"), rank, mode, 7)
    assert worst(permissions.judge([entry], 7, str))[0] == verdict
    assert worst(
        permissions.judge([permissions.Entry(Path("/h/x"), rank, stat.S_IFREG | 0o600, 0)], 7, str)
    ) == (
        "broken",
        "/h/x is the user 0's, the home is 7's -> chown 7: /h/x",
    )


def home(**more: object) -> place.Place:
    told = {"exists": True, "is_directory": True, "readable": True, "owner": "qekm", "user": "anna"}
    return place.Place(Path("/h"), **(told | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "kind", "words"),
    [
        ({"exists": False}, Kind.SERVICE, "there is no directory"),
        ({"readable": False}, Kind.SERVICE, "sudo -u qekm qekm doctor"),
        ({"is_directory": False}, Kind.SERVICE, "is no directory"),
        ({"pending": True}, Kind.SERVICE, "a restore was cut off"),
        ({"config": True, "certificates": True, "names": ("server",)}, Kind.SERVICE, "qekm.db is missing"),
        ({"store": True, "certificates": True, "names": ("server",)}, Kind.SERVICE, ".properties is missing"),
        ({"store": True, "config": True}, Kind.SERVICE, "trust.pem is missing"),
        ({"certificates": True, "names": ("gateway",)}, Kind.GATEWAY, ".properties is missing"),
        ({"client": True, "certificates": True}, Kind.CLIENT, "no certificate with its key"),
    ],
)
def test_what_a_home_is_and_lacks(fact: dict[str, object], kind: Kind, words: str) -> None:
    found = home(**fact)
    assert found.kind is kind
    verdict, told = worst(place.judge(found))
    assert (verdict, words in told) == ("broken", True), told


def test_a_gateway_s_home_and_a_client_s_are_whole_without_a_store() -> None:
    for fact in (
        {"config": True, "certificates": True, "names": ("gateway",)},
        {"client": True, "certificates": True, "names": ("anna",)},
    ):
        assert worst(place.judge(home(**fact)))[0] == "ok"


def backups(**more: object) -> stores.Backups:
    told: dict[str, object] = {"directory": Path("/b"), "there": True, "writable": True, "elsewhere": True}
    told |= {"verified_us": int(NOW.timestamp() * 1e6), "same_disk": False, "wanted": True}
    return stores.Backups(**(told | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "verdict", "words"),
    [
        ({}, "ok", "newest verified backup"),
        ({"directory": None}, "warning", "nowhere to put"),
        ({"there": False}, "broken", "is not there"),
        ({"writable": False}, "broken", "cannot be written"),
        ({"elsewhere": False}, "warning", "own file system"),
        ({"verified_us": 0}, "warning", "no verified backup"),
        ({"verified_us": int((NOW - timedelta(days=8)).timestamp() * 1e6)}, "warning", "2026-11-18"),
    ],
)
def test_backups(fact: dict[str, object], verdict: str, words: str) -> None:
    found = worst(stores.judge_backups(backups(**fact), NOW))
    assert (found[0], words in found[1]) == (verdict, True), found


def port(**more: object) -> ports.Port:
    told = {
        "name": "grpc.port",
        "number": 3802,
        "part": "service",
        "pid": 0,
        "announced": False,
        "holders": {},
    }
    return ports.Port(**(told | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "verdict"),
    [
        ({}, "ok"),
        ({"pid": 7, "announced": True, "holders": {7: "python"}}, "ok"),
        ({"pid": 7, "announced": True, "holders": {0: "a program of another user"}}, "ok"),
        ({"pid": 7, "announced": True}, "broken"),
        ({"pid": 7, "announced": True, "holders": {8: "nginx"}}, "broken"),
        ({"holders": {8: "nginx"}}, "broken"),
        ({"holders": {0: "a program of another user"}}, "broken"),
        ({"name": "metrics.port", "holders": {8: "nginx"}}, "warning"),
        ({"name": "metrics.port", "pid": 7, "holders": {0: "a program of another user"}}, "ok"),
    ],
)
def test_ports(fact: dict[str, object], verdict: str) -> None:
    found = worst(ports.judge([port(**fact)]))
    assert found[0] == verdict, found


def test_every_port_of_ours_is_looked_at() -> None:
    assert set(ports.OWNERS) == set(PORTS)


@pytest.mark.parametrize(
    ("version", "state", "left", "pid", "verdict"),
    [
        ("0.5.0", "S", False, 7, "ok"),
        ("0.5.1", "S", False, 7, "warning"),
        ("0.4.0", "S", False, 7, "broken"),
        ("1.0.0", "S", False, 7, "broken"),
        ("0.5.0", "T", False, 7, "broken"),
        ("", "", True, 0, "broken"),
        ("", "", False, 0, "not looked at"),
    ],
)
def test_processes(version: str, state: str, left: bool, pid: int, verdict: str) -> None:
    part = processes.Part("server", pid, version, state, left)
    assert worst(processes.judge([part], "0.5.0"))[0] == verdict


def test_versions_are_numbers() -> None:
    assert versions.older("0.9.0", "0.10.0")
    assert not versions.older("0.5.2", "0.5.0")
    assert not versions.differs("", "0.5.0")


@pytest.mark.parametrize(
    ("fact", "verdict"),
    [
        (((), 256, None, None), "ok"),
        ((("/dev/sda2",), 256, "unlimited", "0"), "ok"),
        ((("/dev/sda2",), 256, "8388608", "0"), "warning"),
        (((), 20, None, None), "warning"),
        (((), 256, "unlimited", "unlimited"), "warning"),
    ],
)
def test_hardening(fact: tuple[tuple[str, ...], int, str | None, str | None], verdict: str) -> None:
    assert worst(limits.judge(limits.Limits(*fact)))[0] == verdict


SHOWN = """\
Id=qekm-server.service
LoadState=loaded
ActiveState=failed
Result=exit-code
ExecMainStatus=2
NRestarts=0

Id=qekm-gateway.service
LoadState=not-found
ActiveState=inactive
"""


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        (SHOWN, "broken", "qekm-server.service has failed: exit-code, status 2"),
        (SHOWN.replace("failed", "active"), "ok", "is active"),
        (
            SHOWN.replace("failed", "active").replace("NRestarts=0", "NRestarts=4"),
            "warning",
            "restarted 4 times",
        ),
        (SHOWN.replace("failed", "inactive") + "\n", "ok", "inactive"),
        (
            SHOWN.replace("failed", "inactive").replace("Result", "UnitFileState=enabled\nResult"),
            "warning",
            "is enabled and does not run",
        ),
    ],
)
def test_units(text: str, verdict: str, words: str) -> None:
    found = worst(units.judge(units.parse(text)))
    assert (found[0], words in found[1]) == (verdict, True), found
