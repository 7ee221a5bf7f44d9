"""KeystoreService, the part that ends keys: deactivate, compromise, destroy, keep."""

from __future__ import annotations

from typing import Any

from qekm.errors import Draining
from qekm.v1 import keystore_pb2 as pb


class Endings:
    """Being built."""

    async def DeactivateKeys(
        self, request: pb.DeactivateKeysRequest, context: Any
    ) -> pb.DeactivateKeysResponse:
        """Being built."""
        raise Draining("being built")

    async def CompromiseKeys(
        self, request: pb.CompromiseKeysRequest, context: Any
    ) -> pb.CompromiseKeysResponse:
        """Being built."""
        raise Draining("being built")

    async def DestroyKeys(self, request: pb.DestroyKeysRequest, context: Any) -> pb.DestroyKeysResponse:
        """Being built."""
        raise Draining("being built")

    async def KeepKeys(self, request: pb.KeepKeysRequest, context: Any) -> pb.KeepKeysResponse:
        """Being built."""
        raise Draining("being built")
