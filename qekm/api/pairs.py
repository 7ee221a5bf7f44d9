"""Our own key pairs for partners, made when they are first needed: a store of 0.1.0 has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.certificates import Certificates
from qekm.errors import ReadOnly, UnknownCertificate
from qekm.keystore import Keystore
from qekm.model import Role
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing
from qekm.sharing import Pairs

_MAKERS = (Role.ADMINISTRATOR, Role.CUSTODIAN)


class OwnPairs:
    """The pairs in force; new ones once their certificates have ended."""

    def __init__(
        self,
        pairs: Pairs | None,
        certificates: Certificates,
        keystore: Keystore,
        ring: KeyRing,
        journal: Journal,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> None:
        """Take what the store has."""
        self._pairs, self._certificates, self._ring, self._journal = pairs, certificates, ring, journal
        self._keystore, self._now_us, self._random_bytes = keystore, now_us, random_bytes
        self._making = asyncio.Lock()

    async def get(self, method: str) -> Pairs:
        """Return the pairs; ReadOnly if new ones are needed and may not be made.

        method: the call that needs them, for the record if they are made. An auditor, who changes nothing,
        gets those that are there though they have ended; UnknownCertificate if there are none.
        """
        async with self._making:
            if self._pairs is None or self._pairs.end_us <= self._now_us():
                if caller().role in _MAKERS:
                    self._pairs = await self._make(method)
                elif self._pairs is None:
                    hint = "an administrator or a custodian makes them with: qekm certificates export"
                    raise UnknownCertificate("there are no key pairs for partners yet", hint=hint)
            return self._pairs

    async def _make(self, method: str) -> Pairs:
        """Make new pairs, which open what was encrypted to the ones before."""
        if reason := self._keystore.read_only:
            raise ReadOnly(f"no key pairs for partners are made: {reason}", reason=reason)
        issuer = self._certificates.issuer
        made = await asyncio.to_thread(Pairs.make, issuer, self._now_us(), self._random_bytes, self._pairs)
        told = f"key pairs for partners made, SHA-256 {made.fingerprint.hex()}"
        await self._journal.commit(method, made.dump(self._ring), message=told)
        return made
