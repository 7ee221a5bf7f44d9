"""An open store in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.store import Store
from tests.qekm.store.material import SIGNER, create, unlock


class Failures(list[BaseException]):
    """What the writer told of failed writes."""


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store that holds the default group only."""
    return create(tmp_path)


@pytest.fixture
def store(path: Path, failures: Failures) -> Iterator[Store]:
    """That store, open and with its writer started."""
    store = Store.open(path, unlock)
    store.start(SIGNER.sign, failures.append)
    yield store
    store.close()
