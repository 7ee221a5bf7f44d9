"""KeystoreService, the part that takes a slot of the keystore: unlock, lock, rotate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from qekm.api.fields import stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.proofs import Proofs
from qekm.opened import OPEN_S, Opened
from qekm.rotating import Rotating
from qekm.v1 import keystore_pb2 as pb

_TELL_S = 0.2  # between two reports


class Openings:
    """Opens the keystore for a person, or the root key for one act."""

    _opened: Opened
    _proofs: Proofs
    _journal: Journal
    _rotating: Rotating
    _now_us: Callable[[], int]

    async def UnlockKeystore(
        self, request: pb.UnlockKeystoreRequest, context: Any
    ) -> pb.UnlockKeystoreResponse:
        """Open the keystore for the caller for ten minutes; errors as Proofs.open."""
        slot, root = await self._proofs.open("UnlockKeystore", request.proof)
        root.wipe()
        await self._journal.commit("UnlockKeystore", (), message=f"slot {slot.name}")
        self._opened.open(caller().actor)
        end_us = self._now_us() + int(OPEN_S * 1_000_000)
        return pb.UnlockKeystoreResponse(slot=slot.name, expire_time=stamp(end_us))

    async def LockKeystore(self, request: pb.LockKeystoreRequest, context: Any) -> pb.LockKeystoreResponse:
        """Close the keystore for the caller."""
        self._opened.close(caller().actor)
        await self._journal.commit("LockKeystore", ())
        return pb.LockKeystoreResponse()

    async def RotateKeystore(
        self, request: pb.RotateKeystoreRequest, context: Any
    ) -> AsyncIterator[pb.RotateKeystoreResponse]:
        """Begin a rotation, unless one is running, and tell how far it is. ReadOnly, and as Proofs.open."""
        if not self._rotating.running:
            slot, root = await self._proofs.open("RotateKeystore", request.proof)
            with root:
                changes = [] if self._rotating.running else self._rotating.begin(root)
            what = (
                f"version {self._rotating.progress.version} of the record key, opened with slot {slot.name}"
            )
            await self._journal.commit("RotateKeystore", changes, message=what)
        while True:
            running, told = self._rotating.running, self._rotating.progress
            yield pb.RotateKeystoreResponse(version=told.version, done=told.done, total=told.total)
            if not running:
                return
            await asyncio.sleep(_TELL_S)
