"""A process that does nothing but commit units and say which are durable, until it is stopped.

    python -m tests.faults.store_worker STORE BUILD

Each line on standard output is the name of a unit, written after its commit was promised. BUILD is `honest`,
or one that is broken on purpose, for a test that cannot tell it from the honest one proves nothing: `early`
acknowledges what it has only submitted, `unsynced` runs with synchronous=NORMAL, and never moves its log into
the file, which would sync it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from qekm.model import Cartridge, KeyState
from qekm.store import Store, engine, writer
from qekm.store.plan import Unit
from qekm.store.writer import Results
from tests.qekm.store.material import SIGNER, make_key, make_record, unlock

CALLERS = 8


class EarlyStore(Store):
    """Says that a unit is durable as soon as it has it."""

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[Results]:
        super().submit(units)
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        future.set_result([None for _ in units])
        return future


async def call(store: Store, caller: int, first: int) -> None:
    """Give out one key after the other, as serving does: state, record and use in one unit."""
    number = first
    while True:
        number += 1
        name = f"{os.getpid()}.{caller}.{number}"
        key = make_key(caller * 100 + number % 100, KeyState.ASSIGNED, number, volser=name)
        await store.commit([key, make_record(name), Cartridge(name, key.alias, "D", b"", number)])
        os.write(1, f"{name}\n".encode())
        await asyncio.sleep(0)


async def main(path: Path, build: str) -> None:
    """Run until killed; a failed write ends the process at once, as it ends the service."""
    if build == "unsynced":
        engine.PRAGMAS = MappingProxyType({**engine.PRAGMAS, "synchronous": ("NORMAL", 1)})
        writer._CHECKPOINT_AFTER = 1 << 40
    store = (EarlyStore if build == "early" else Store).open(path, unlock)
    store.start(SIGNER.sign, lambda _: os._exit(3))
    first = store.audit_head().sequence
    await asyncio.gather(*(call(store, caller, first) for caller in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
