"""Fixtures that start the real service and gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.attacking import running, site  # noqa: F401  fixtures
from tests.system.processes import Estate, made


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """Return a fresh key manager of 32 keys, not started; whatever the test starts is ended after it."""
    with made(tmp_path / "home") as each:
        yield each


@pytest.fixture
def started(estate: Estate) -> Estate:
    """Return the same with the service running and no gateway."""
    return estate.start(gateway=False)
