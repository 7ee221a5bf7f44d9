"""The systemd units as they are written: nothing is wrong in them, and little is allowed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MOST_EXPOSED = 2.0  # of 10, systemd-analyze security
_EXPOSURE = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exposure(unit: Path) -> float:
    """Return the score that systemd gives a unit's sandbox; 0 is none, 10 all there is."""
    done = analyze("security", "--offline=yes", str(unit))
    found = _EXPOSURE.search(done.stdout)
    assert found, done.stderr
    return float(found[1])


def test_there_is_a_unit_for_each_process_and_one_for_what_the_gateway_sees() -> None:
    assert [unit.stem for unit in UNITS] == ["qekm-gateway-home", "qekm-gateway", "qekm-server"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_may_do_is_little(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score = exposure(unit)
    with capsys.disabled():
        print(f"\n{unit.name}: exposure {score}, at most {MOST_EXPOSED}")
    assert score <= MOST_EXPOSED


def test_a_unit_without_its_sandbox_is_found_out(tmp_path: Path) -> None:
    open_ = tmp_path / UNITS[0].name
    lines = UNITS[0].read_text().splitlines()
    open_.write_text("\n".join(line for line in lines if not line.startswith(("Protect", "SystemCall"))))
    assert exposure(open_) > MOST_EXPOSED


def _executable(unit: Path) -> str:
    return re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M)


def verified(unit: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Verify a unit with a program that is there; the installed ones are verified there."""
    copy = directory / unit.name
    copy.write_text(_executable(unit))
    return analyze("verify", "--man=no", str(copy))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_to_say(unit: Path, tmp_path: Path) -> None:
    for other in UNITS:
        (tmp_path / other.name).write_text(_executable(other))
    done = verified(unit, tmp_path)
    ours = [line for line in done.stderr.splitlines() if "qekm" in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_has_something_to_say_of_a_wrong_unit(tmp_path: Path) -> None:
    wrong = tmp_path / "qekm-wrong.service"
    wrong.write_text(UNITS[0].read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in verified(wrong, tmp_path.joinpath()).stderr
