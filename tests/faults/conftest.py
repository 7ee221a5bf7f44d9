"""Disks whose power can be cut, where the machine can have them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.faults.powercut.rig import UnavailableError, VolatileDisk


@pytest.fixture
def make_disk(tmp_path: Path) -> Callable[[], VolatileDisk]:
    """Return a maker of volatile disks, for `with make_disk() as disk`; skips where none can be."""
    numbers = count()
    try:
        with VolatileDisk(tmp_path / "probe"):
            pass
    except UnavailableError as error:
        pytest.skip(f"no volatile disk here: {error}")
    return lambda: VolatileDisk(tmp_path / f"disk{next(numbers)}")
