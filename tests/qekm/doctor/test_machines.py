"""Machines that are really broken around a home that is well: ports, clocks, disks, owners."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qekm import clock
from qekm.configuration.settings import amend
from qekm.home import Home
from tests.cli.doctor.rig import DAY_US, Authority, examined, mounted

NOW_US = clock.now_us()


def test_a_port_that_another_program_holds_is_named_with_the_program(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        amend(home.config, {"grpc.port": str(port)}, keep=False)
        found = examined(home)
        assert found.first == "ports"
        assert f"port {port} (grpc.port) is held by" in found.told
        if os.geteuid() == 0:  # this process may be hardened, and then only root may look into it
            assert f"(pid {os.getpid()})" in found.told
    assert examined(home).first == ""


def test_a_port_that_the_service_can_do_without_is_a_warning_only(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        amend(home.config, {"metrics.port": str(other.getsockname()[1])}, keep=False)
        found = examined(home)
        assert (found.first, found.verdict("ports")) == ("", "warning")


@pytest.mark.parametrize(("years", "step"), [(-2, "clock"), (12, "clock"), (2, "certificates")])
def test_a_clock_that_is_years_off_is_named_before_certificates(home: Home, years: int, step: str) -> None:
    found = examined(home, lambda: clock.now_us() + years * 365 * DAY_US)
    assert found.first == step, found.told
    assert "clock" in found.told or "and it is" in found.told


@pytest.mark.parametrize("days", [3, 20, 50, 90])
def test_a_certificate_that_ends_soon_is_a_warning(home: Home, days: int) -> None:
    Authority.of(home, NOW_US - 500 * DAY_US).issue_all(home, NOW_US, days)
    found = examined(home)
    assert (found.first, found.verdict("certificates")) == ("", "ok" if days == 90 else "warning")
    if days < 90:
        assert f"ends in {days - 1} days" in found.seen("certificates")


@pytest.fixture
def in_memory(tmp_path: Path) -> Callable[[str], object]:
    """Give what mounts a small file system; skips where nobody may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system")
    return lambda options: mounted(tmp_path / "volume", options)


def moved(home: Home, volume: Path) -> Home:
    """Return the home on another file system."""
    shutil.copytree(home.path, volume / "home", symlinks=True)
    return Home(volume / "home")


@pytest.mark.root
def test_a_full_disk_is_named(home: Home, in_memory: Callable[[str], object]) -> None:
    with in_memory("size=96m") as volume:  # type: ignore[attr-defined]
        there = moved(home, volume)
        assert examined(there).first == ""
        with (volume / "filling").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 80 << 20)
        found = examined(there)
        assert (found.first, "is full" in found.told) == ("disk", True), found.told


@pytest.mark.root
def test_a_disk_without_inodes_is_named(home: Home, in_memory: Callable[[str], object]) -> None:
    with in_memory("size=1g,nr_inodes=400") as volume:  # type: ignore[attr-defined]
        there = moved(home, volume)
        assert examined(there).first == ""
        for number in range(330):
            (volume / str(number)).touch()
        found = examined(there)
        assert (found.first, "no inodes left" in found.told) == ("disk", True), found.told


@pytest.mark.root
def test_a_disk_that_turned_read_only_is_named(home: Home, in_memory: Callable[[str], object]) -> None:
    with in_memory("size=1g") as volume:  # type: ignore[attr-defined]
        there = moved(home, volume)
        assert examined(there).first == ""
        subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
        found = examined(there)
        assert (found.first, "mounted read-only" in found.told) == ("disk", True), found.told


@pytest.mark.root
def test_a_file_of_another_user_is_named(home: Home) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(home.store, 65_534, 65_534)
    found = examined(home)
    assert (found.first, "qekm.db is the user nobody's" in found.told) == ("permissions", True)
