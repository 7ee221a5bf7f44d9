"""A network of hosts where the machine can have one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.namespaces import Network, UnavailableError
from tests.peers.sizes import SIZES
from tests.system.processes import Process

Process.forked = True  # there are hundreds of starts here

HERE = Path(__file__).parent
HOSTS = ("alpha", "beta", "library")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Return two servers' hosts and a library's on one wire; skips where there can be none."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(Network(*HOSTS))
        except UnavailableError as error:
            pytest.skip(f"no network of hosts here: {error}")
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here more time than others have: what it waits for is as slow as the machine is busy."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(SIZES.timeout_s))
