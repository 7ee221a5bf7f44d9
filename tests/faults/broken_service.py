"""The service with one fault built in: a judge that cannot tell it from the real one proves nothing.

    python -m tests.faults.broken_service BUILD run --home HOME

BUILD: `early` answers before the commit, which follows a little later; `unsynced` commits without waiting
for the disk; `forgetful` takes keys that a stop cut off in mid-session for never used.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import qekm.rpc  # noqa: F401  TLS 1.3 only, before grpc

# isort: split
from qekm import server, service
from qekm.model import KeyState
from qekm.store import Snapshot, Store, engine
from qekm.store.plan import Unit
from qekm.store.writer import Results

DELAY_S = 0.02


class EarlyStore(Store):
    """Says that units are durable when it only has them; they follow DELAY_S later."""

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[Results]:
        """Answer at once."""
        loop = asyncio.get_running_loop()
        loop.call_later(DELAY_S, super().submit, units)
        future: asyncio.Future[Results] = loop.create_future()
        future.set_result([None for _ in units])
        return future


class ForgetfulStore(Store):
    """Does not know at its start which keys were on their way."""

    def load(self) -> Snapshot:
        """Read the store with every ASSIGNED key READY again."""
        found = super().load()
        keys = [
            replace(key, state=KeyState.READY, mount_id=b"") if key.state is KeyState.ASSIGNED else key
            for key in found.keys
        ]
        return replace(found, keys=keys)


def sabotage(build: str) -> None:
    """Break this process's service in one way."""
    if build == "unsynced":
        engine.PRAGMAS = MappingProxyType({**engine.PRAGMAS, "synchronous": ("NORMAL", 1)})
    elif build == "early":
        service.Store = EarlyStore  # type: ignore[attr-defined]
    elif build == "forgetful":
        service.Store = ForgetfulStore  # type: ignore[attr-defined]
    else:
        raise SystemExit(f"there is no build {build!r}")


if __name__ == "__main__":
    sabotage(sys.argv[1])
    server.main(sys.argv[2:])
