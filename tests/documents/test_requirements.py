"""docs/requirements.md: ports are those of the properties, figures those of a measurement."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from qekm.properties import PROPERTIES
from qekm.properties.listeners import PORTS
from tests.pages import ROOT
from tests.system.processes import environment

TEXT = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
KEYS = "1,024 keys"  # the size that is cheap to measure
_ELSEWHERE = re.compile(r"(\.server|\.services|\.endpoint|log\.syslog|webhook\.url)$")


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def figures(text: str) -> list[float]:
    """Return service, gateway, store and backup of the small size, in MB."""
    (found,) = (row for row in rows(text) if row[0] == KEYS)
    return [float(cell.replace(",", "")) for cell in found[1:5]]


def test_the_firewall_s_table_has_every_port_with_its_default() -> None:
    told = {row[1].strip("`"): row[0] for row in rows(TEXT) if len(row) == 5 and row[1].startswith("`")}
    assert told == {
        name: PROPERTIES[name].default.replace("0", "none", PROPERTIES[name].default == "0") for name in PORTS
    }


def test_it_has_everything_that_connects_to_elsewhere() -> None:
    told = {row[1].strip("`") for row in rows(TEXT) if len(row) == 4 and row[1].startswith("`")}
    known = {name for name in PROPERTIES if _ELSEWHERE.search(name) and PROPERTIES[name].origin != "kept"}
    assert told == known


@pytest.mark.slow
def test_its_figures_are_those_of_a_measurement_within_a_factor_of_two() -> None:
    words = [sys.executable, str(ROOT / "bench" / "footprint.py"), "--keys", "1024", "--no-drives"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    for told, measured in zip(figures(TEXT), figures(done.stdout), strict=True):
        assert told / 2 <= measured <= told * 2, done.stdout
