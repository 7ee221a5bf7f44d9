"""Builds that are broken on purpose, made of the real one in the process that calls this, and in no other.

A test that cannot tell them from the real one proves nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from qekm import failpoints, service  # noqa: F401  (imports all that is broken here)
from qekm.awaiting import Awaiting
from qekm.model import KeyState, Setting
from qekm.rotating import Rotating
from qekm.store import OLDEST, Snapshot, Store, engine, integrity, store, writer
from qekm.store.anchor import Anchor, Witness
from qekm.store.plan import Unit
from qekm.store.writer import Results

DELAY_S = 0.5  # longer than from an answer to the kill or the cut that follows on it
_NEVER = 1 << 40


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
    """Does not know at its start which keys were on their way, or ended there."""

    def load(self) -> Snapshot:
        """Read the store with every ASSIGNED and SUSPECT key READY again."""
        found, on_their_way = super().load(), (KeyState.ASSIGNED, KeyState.SUSPECT)
        keys = [
            replace(key, state=KeyState.READY, mount_id=b"") if key.state in on_their_way else key
            for key in found.keys
        ]
        return replace(found, keys=keys)


class HastyRotating(Rotating):
    """Forgets the old version of the record key as soon as there is a new one."""

    async def tick(self) -> None:
        """Forget, and seal nothing anew."""
        version = self._keystore.record_version
        await self._store.commit([Setting(OLDEST, str(version))])
        self._store.ring.forget(version)


def _put(examine: Any) -> None:
    integrity.examine = examine
    store.behind = lambda *_: ""  # type: ignore[attr-defined]


def _unverified() -> None:
    """Believe every row as it lies there, and no witness."""
    real = integrity.examine
    _put(lambda *arguments: replace(real(*arguments), damaged=(), root_holds=True))


def _rootless() -> None:
    """Verify every row, and not what all of them are together; believe no witness."""
    real = integrity.examine
    _put(lambda *arguments: replace(real(*arguments), root_holds=True))


def _unsynced() -> None:
    """Commit without waiting for the disk, and sync nothing else that would make commits durable by accident.

    Moving the log syncs it, and takes so long on a slow disk that a cut often falls into it. The anchor is
    left at the start: synced for itself it would be ahead of its store, which is then read only.
    """
    engine.PRAGMAS = MappingProxyType({**engine.PRAGMAS, "synchronous": ("NORMAL", 1)})
    writer._CHECKPOINT_AFTER = _NEVER
    put = Anchor.put

    def put_once(self: Anchor, witness: Witness) -> None:
        if not self._synced_s:
            put(self, witness)

    Anchor.put = put_once  # type: ignore[method-assign]


def _unflushed() -> None:
    """Sync nothing but what SQLite syncs."""

    def forget(_handle: object) -> None:
        """Sync nothing."""

    os.fsync = os.fdatasync = forget  # type: ignore[assignment]


def _hurried() -> None:
    """Move the log into the file after every few rows: not broken, only hurried."""
    writer._CHECKPOINT_AFTER = 8


class Witnesses:
    """Peers that know of everything as soon as it is here: not broken, only company."""

    connected, acknowledged = True, 1 << 40

    async def told(self, _sequence: int) -> bool:
        """Return at once."""
        return True


def _witnessed() -> None:
    """Have every new key wait for a peer, which answers at once."""
    begin = Awaiting.__init__

    def joined(self: Awaiting, _links: Any, journal: Any, settings: Any, _is_joined: Any) -> None:
        begin(self, Witnesses(), journal, settings, lambda: True)

    Awaiting.__init__ = joined  # type: ignore[method-assign]


def _deaf() -> None:
    """Take a commit that failed for one that did not."""
    transact = writer.Writer._transact

    def deaf(self: writer.Writer, units: list[Unit]) -> None:
        with suppress(Exception):
            transact(self, units)

    writer.Writer._transact = deaf  # type: ignore[method-assign]


def _instead(real: type, broken: type) -> Callable[[], None]:
    """Return what puts a broken class in a real one's place, wherever a module has imported it."""

    def put() -> None:
        having = [
            module
            for name, module in list(sys.modules.items())
            if name.startswith("qekm.") and getattr(module, real.__name__, None) is real
        ]
        assert len(having) > 1, f"nobody but its own module knows {real.__name__}"
        for module in having:
            setattr(module, real.__name__, broken)

    return put


BUILDS: Mapping[str, Callable[[], None]] = {
    "": lambda: None,
    "unverified": _unverified,
    "rootless": _rootless,
    "unsynced": _unsynced,
    "early": _instead(Store, EarlyStore),
    "forgetful": _instead(Store, ForgetfulStore),
    "hasty": _instead(Rotating, HastyRotating),
    "unflushed": _unflushed,
    "hurried": _hurried,
    "deaf": _deaf,
    "witnessed": _witnessed,
}


def arm(failure: str, reached: Callable[[str], None]) -> None:
    """Have this process fail as QEKM_FAILPOINT would have it, though its modules are imported already."""
    unarmed, act = failpoints.failpoint, failpoints._of(failure)

    def armed(name: str) -> None:
        if name == failure.partition("=")[0]:
            reached(name)
        act(name)

    for module in list(sys.modules.values()):
        if getattr(module, "failpoint", None) is unarmed:
            module.failpoint = armed  # type: ignore[attr-defined]


def sabotage(build: str) -> None:
    """Break this process's program in one way."""
    if build not in BUILDS:
        raise SystemExit(f"there is no build {build!r}")
    BUILDS[build]()
