"""Every store that a release wrote is opened by this version, and everything in it is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qekm.audit import verify_trail
from qekm.trail import read_public_key
from tests.golden.make import HERE, describe, opened

RELEASES = sorted(path.parent.name for path in HERE.glob("*/expected.json"))


def test_there_is_a_store_of_a_release() -> None:
    assert RELEASES


@pytest.mark.parametrize("version", RELEASES)
def test_a_released_store_is_opened_and_nothing_is_missing(version: str, tmp_path: Path) -> None:
    expected = json.loads((HERE / version / "expected.json").read_text())
    with opened(HERE / version, tmp_path) as store:
        assert describe(store) == expected


@pytest.mark.parametrize("version", RELEASES)
def test_the_trail_of_a_released_store_verifies(version: str, tmp_path: Path) -> None:
    public_key = read_public_key(HERE / version / "audit.pem")
    with opened(HERE / version, tmp_path) as store:
        verdict = verify_trail(store.iterate_audit(), public_key, store.audit_count())
    assert verdict.intact
    assert verdict.checked > 0
