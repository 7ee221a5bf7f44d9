"""A running service for the tests of its servicers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.qekm.api.running import Running, running


@pytest_asyncio.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    """Return a service with 64 keys that listens."""
    async with running(tmp_path / "home") as each:
        yield each
