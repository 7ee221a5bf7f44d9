"""`qekm-server check`: a verdict on a stopped store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from qekm.home import Home
from tests.system.processes import Estate, run_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A key manager that does not run."""
    return Estate.make(tmp_path / "home", keys=4).home


def test_a_whole_store_is_said_to_be_whole(home: Home) -> None:
    done = run_server("check", "--home", home.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the store is whole: 4 keys, ")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE keys SET volser = 'E01001L4' WHERE created_seq = 2", "keys "),
        ("UPDATE audit SET message = 'x' WHERE sequence = 1", "audit record 1"),
    ],
)
def test_damage_is_a_bad_verdict_and_named(home: Home, statement: str, named: str) -> None:
    with sqlite3.connect(home.store) as connection:
        connection.execute(statement)
    connection.close()
    done = run_server("check", "--home", home.path)
    assert done.returncode == 5
    assert "DAMAGED" in done.stdout and named in done.stdout
    assert done.stderr == ""


def test_an_old_copy_is_a_bad_verdict(home: Home) -> None:
    home.anchor.write_bytes(bytes(1024))
    old = home.store.read_bytes()
    home.anchor.unlink()
    estate = Estate(home.path)
    estate.start(gateway=False)
    estate.stop()
    home.store.write_bytes(old)
    done = run_server("check", "--home", home.path)
    assert (done.returncode, "old copy" in done.stdout) == (5, True)
