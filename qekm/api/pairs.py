"""Our own key pairs for partners, made when they are first needed: a store of 0.1.0 has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qekm.api.journal import Journal
from qekm.certificates import Certificates
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing
from qekm.sharing import Pairs


class OwnPairs:
    """The pairs in force; new ones once their certificates have ended."""

    def __init__(
        self,
        pairs: Pairs | None,
        certificates: Certificates,
        ring: KeyRing,
        journal: Journal,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> None:
        """Take what the store has."""
        self._pairs, self._certificates, self._ring, self._journal = pairs, certificates, ring, journal
        self._now_us, self._random_bytes = now_us, random_bytes
        self._making = asyncio.Lock()

    async def get(self, method: str) -> Pairs:
        """Return the pairs; method: the call that needs them, for the record if they are made."""
        async with self._making:
            now_us = self._now_us()
            if self._pairs is None or self._pairs.end_us <= now_us:
                issuer = self._certificates.issuer
                made = await asyncio.to_thread(Pairs.make, issuer, now_us, self._random_bytes)
                told = f"key pairs for partners made, SHA-256 {made.fingerprint.hex()}"
                await self._journal.commit(method, made.dump(self._ring), message=told)
                self._pairs = made
            return self._pairs
