"""KeystoreService, the part that takes a slot of the keystore: unlock, lock, rotate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from qekm.errors import Draining
from qekm.v1 import keystore_pb2 as pb


class Openings:
    """Being built."""

    async def UnlockKeystore(
        self, request: pb.UnlockKeystoreRequest, context: Any
    ) -> pb.UnlockKeystoreResponse:
        """Being built."""
        raise Draining("being built")

    async def LockKeystore(self, request: pb.LockKeystoreRequest, context: Any) -> pb.LockKeystoreResponse:
        """Being built."""
        raise Draining("being built")

    async def RotateKeystore(
        self, request: pb.RotateKeystoreRequest, context: Any
    ) -> AsyncIterator[pb.RotateKeystoreResponse]:
        """Being built."""
        raise Draining("being built")
        yield pb.RotateKeystoreResponse()
