"""A network of hosts where the machine can have one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.peers.namespaces import Network, UnavailableError

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
