"""Collections of cycles: what is loaded stays out of them, and they are seldom."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from qekm import collecting


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the collector as the other tests have it."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_loaded_is_not_looked_at_again_and_what_comes_seldom() -> None:
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    loaded = len(gc.get_objects())
    collecting.spare()
    assert gc.get_freeze_count() >= loaded * 0.9
    assert len(gc.get_objects()) < loaded / 10
    assert gc.get_threshold()[0] >= 10_000


def test_cycles_are_found_all_the_same() -> None:
    collecting.spare()
    one: list[object] = []
    one.append(one)
    del one
    assert gc.collect() >= 1
