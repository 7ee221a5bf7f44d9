"""Servers that wait to be let in: each holds its call open while somebody here compares fingerprints."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field

from qekm.errors import NotWaiting, PeerAway, PeerRefused
from qekm.keypair import PublicKey
from qekm.rpc.identity import Identity
from qekm.v1 import peers_pb2 as pb

TAKEN_S = 10.0  # for a welcome to get to who waits for it


@dataclass(eq=False, slots=True)
class Candidate:
    """A server that waits: whose certificate it shows, and the keys that it wants to use."""

    identity: Identity
    key: PublicKey = field(repr=False)
    spki_sha256: bytes
    wrapping_key: bytes  # X25519, 32 bytes
    version: str
    welcome: asyncio.Future[pb.Welcome] = field(default_factory=asyncio.Future, repr=False)
    taken: asyncio.Future[bool] = field(default_factory=asyncio.Future, repr=False)

    async def hand(self, welcome: pb.Welcome) -> None:
        """Give a welcome to the waiting call; PeerAway if it does not get away."""
        if not self.welcome.done():
            self.welcome.set_result(welcome)
        await asyncio.wait([self.taken], timeout=TAKEN_S)
        if not self.taken.done() or not self.taken.result():
            name = self.identity.name
            hint = f"invite it again with: qekm peers invite {name}"
            raise PeerAway(f"{name} went away while it was let in", hint=hint, peer=name)

    def end(self, *, taken: bool) -> None:
        """Note that the waiting call has ended, and whether the welcome got away in it."""
        if not self.taken.done():
            self.taken.set_result(taken)


class Candidates:
    """One candidate for each name that was invited."""

    def __init__(self) -> None:
        self._waiting: dict[str, Candidate] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._waiting

    @contextlib.contextmanager
    def wait(self, candidate: Candidate) -> Iterator[Candidate]:
        """Have a candidate be found for the block; PeerRefused if one with another key waits already.

        The same one may come again: its link broke, and its former call does not know yet.
        """
        name = candidate.identity.name
        before = self._waiting.get(name)
        if before is not None:
            if before.spki_sha256 != candidate.spki_sha256:
                raise PeerRefused(f"another server waits under the name {name}", peer=name)
            if not before.welcome.done():
                before.welcome.set_exception(PeerRefused(f"{name} has asked again", peer=name))
        self._waiting[name] = candidate
        try:
            yield candidate
        finally:
            candidate.end(taken=False)
            if self._waiting.get(name) is candidate:
                del self._waiting[name]

    def find(self, name: str) -> Candidate:
        """Return who waits under a name; NotWaiting."""
        if name not in self._waiting:
            raise NotWaiting(f"no server waits to be let in as {name[:64]!r}", peer=name[:64])
        return self._waiting[name]

    def compared(self, name: str, spki_sha256: bytes) -> Candidate:
        """Return who waits under a name with the key of this fingerprint; NotWaiting, PeerRefused."""
        candidate = self.find(name)
        if not hmac.compare_digest(candidate.spki_sha256, spki_sha256):
            hint = f"who waits may be a stranger who has the invitation: qekm peers remove {name}"
            what = f"the server that waits as {name} has a key of another fingerprint"
            raise PeerRefused(what, hint=hint, peer=name)
        return candidate
