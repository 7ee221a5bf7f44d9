"""Every store and backup that a release wrote is opened by this version, and all in it is found again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qekm.audit import verify_trail
from qekm.backup.opening import root_of
from qekm.clock import now_us
from qekm.home import Home
from qekm.restoring import Restorer, Wanted
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.trail import read_public_key
from qekm.unlocking import unlock
from tests.golden.make import HERE, describe, opened

BACKUPS = sorted(path.parent.name for path in HERE.glob("*/backup.qbk"))
RELEASES = sorted(path.parent.name for path in HERE.glob("*/expected.json"))


def test_there_is_a_store_of_a_release() -> None:
    assert RELEASES


@pytest.mark.parametrize("version", RELEASES)
def test_a_released_store_is_opened_and_nothing_is_missing(version: str, tmp_path: Path) -> None:
    expected = json.loads((HERE / version / "expected.json").read_text())
    with opened(HERE / version, tmp_path) as store:
        found = describe(store)
    assert {name: found[name] for name in expected} == expected  # earlier ones tell of less


@pytest.mark.parametrize("version", RELEASES)
def test_the_trail_of_a_released_store_verifies(version: str, tmp_path: Path) -> None:
    public_key = read_public_key(HERE / version / "audit.pem")
    with opened(HERE / version, tmp_path) as store:
        verdict = verify_trail(store.iterate_audit(), public_key, store.audit_count())
    assert verdict.intact
    assert verdict.checked > 0


@pytest.mark.parametrize("version", BACKUPS)
def test_a_released_backup_is_restored_with_every_key(version: str, tmp_path: Path) -> None:
    folder, home = HERE / version, Home(tmp_path / "home")
    key_file = tmp_path / "root.key"
    shutil.copy(folder / "root.key", key_file)
    key_file.chmod(0o600)
    wanted = Wanted(folder / "backup.qbk", properties={"keystore.protect": "none", "backup.target": ""})
    Restorer(home, wanted, now_us).onto_nothing(lambda cover: root_of(cover, KeyFileSealer(key_file)))
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        found = describe(store)
    finally:
        store.close()
    expected = json.loads((folder / "expected.json").read_text())
    assert found["estate"] == expected["estate"]
    assert found["drives"] == expected["drives"]
    keys = found["keys"]
    assert isinstance(keys, dict)
    assert {name: keys[name]["sha256"] for name in expected["keys"]} == {
        name: key["sha256"] for name, key in expected["keys"].items()
    }


def test_there_is_a_backup_of_a_release() -> None:
    assert BACKUPS
