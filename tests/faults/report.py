"""What the fault tests tried and what was lost: a table at the end of the run, which fails if a row says so.

A plugin of pytest, loaded by conftest.py. Each rig records what it did; each negative control, whether the
broken build was caught. Where tests run in several processes (pytest-xdist) each has a report, and the one
that started them has all.
A rig that ran without its control proves nothing, so that fails a whole run (--whole), too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.sizes import SEED, SIZES, SOAK

HERE = Path(__file__).parent


@dataclass(slots=True)
class Row:
    """One rig: attempts, how many of them were detected or changed nothing, what was lost."""

    rig: str
    what: str
    tried: int
    detected: int | None = None
    benign: int | None = None
    lost: int = 0


@dataclass(slots=True)
class Report:
    """All rows of a run, the controls by rig, and what was skipped."""

    rows: list[Row] = field(default_factory=list)
    controls: dict[str, dict[str, bool]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def tried(
        self,
        rig: str,
        what: str,
        tried: int,
        *,
        detected: int | None = None,
        benign: int | None = None,
        lost: int = 0,
    ) -> None:
        """Record what a rig did, added to what it did before; call it before anything is asserted."""
        for row in self.rows:
            if (row.rig, row.what) == (rig, what):
                row.tried, row.lost = row.tried + tried, row.lost + lost
                row.detected = None if detected is None else (row.detected or 0) + detected
                return
        self.rows.append(Row(rig, what, tried, detected, benign, lost))

    def control(self, rig: str, build: str, caught: bool) -> None:
        """Record whether a rig saw what is wrong with a build that is broken on purpose."""
        self.controls.setdefault(rig, {})[build] = caught

    def dump(self) -> str:
        """Return the rows and controls as another process takes them in."""
        return json.dumps([[asdict(row) for row in self.rows], self.controls])

    def take(self, dumped: str) -> None:
        """Add what another process reported."""
        rows, controls = json.loads(dumped)
        for row in rows:
            self.tried(**row)
        for rig, builds in controls.items():
            self.controls.setdefault(rig, {}).update(builds)

    @property
    def flaws(self) -> list[str]:
        """Return why this run is no proof, whatever its tests say."""
        lost = [f"{row.rig}, {row.what}: {row.lost:,} lost" for row in self.rows if row.lost]
        blind = [
            f"{rig}: a build that is broken on purpose ({build}) was not caught"
            for rig, builds in self.controls.items()
            for build, caught in builds.items()
            if not caught
        ]
        return lost + blind

    @property
    def uncontrolled(self) -> list[str]:
        """Return the rigs that have no control in this run."""
        rigs = dict.fromkeys(row.rig for row in self.rows)
        return [f"{rig}: no negative control ran" for rig in rigs if not self.controls.get(rig)]

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        size = "soak" if SIZES is SOAK else "CI"
        yield f"size: {size}, seed: {SEED}"
        form = "{:<14} {:<58} {:>8} {:>9} {:>8} {:>5}"
        yield form.format("rig", "what was tried", "times", "detected", "benign", "lost")
        for row in sorted(self.rows, key=lambda row: row.rig):
            cells = (_number(row.detected), _number(row.benign), f"{row.lost:,}")
            yield form.format(row.rig, row.what, f"{row.tried:,}", *cells)
        for rig, builds in self.controls.items():
            told = ", ".join(
                f"{build} {'caught' if caught else 'NOT CAUGHT'}" for build, caught in builds.items()
            )
            yield f"{rig:<14} negative controls: {told}"
        for name, why in self.skipped:
            yield f"{'skipped':<14} {name}: {why}"
        yield f"{len(self.skipped):,} skipped, {sum(row.lost for row in self.rows):,} lost"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


_KEY = pytest.StashKey[Report]()
_DUMPED = "what was tried, and what was lost"
_current: list[Report] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --whole."""
    parser.addoption("--whole", action="store_true", help="fail if a rig ran without its negative control")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a report, which the reports of tests find, too."""
    _current[:] = [config.stash.setdefault(_KEY, Report())]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Return the report of this run."""
    return pytestconfig.stash[_KEY]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that the size of the run takes."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(SIZES.timeout_s), append=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what is skipped; every skip has its reason."""
    if report.skipped and not hasattr(report, "wasxfail") and _current:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _current[0].skipped.append((report.nodeid.rpartition("/")[2], reason.removeprefix("Skipped: ")))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process of pytest-xdist reported; one that died fails the run."""
    if _DUMPED in getattr(node, "workeroutput", {}):
        node.config.stash[_KEY].take(node.workeroutput[_DUMPED])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run whose tests all passed, and which is no proof; a process of pytest-xdist only tells."""
    told: dict[str, str] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told[_DUMPED] = session.config.stash[_KEY].dump()
    elif exitstatus == pytest.ExitCode.OK and _flaws(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    report = config.stash[_KEY]
    if not report.rows and not report.controls:
        return
    terminalreporter.section("what was tried, and what was lost")
    for line in report.lines():
        terminalreporter.write_line(line)
    for flaw in _flaws(config):
        terminalreporter.write_line(f"FAILED: {flaw}", red=True)


def _flaws(config: pytest.Config) -> list[str]:
    report = config.stash[_KEY]
    return report.flaws + (report.uncontrolled if config.getoption("whole", False) else [])
