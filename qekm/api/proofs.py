"""Proofs: what a person shows to open a slot of the keystore. Nothing of them is kept, told or logged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from qekm import clock
from qekm.api.guard import caller
from qekm.api.journal import Commits
from qekm.audit import Strangers, called
from qekm.errors import BadArgument, BadConfiguration, BadPassword, QekmError, TokenAway
from qekm.model import Outcome, Slot
from qekm.sealing import KeySealer, PasswordSealer, Sealer, SharesSealer, TokenKey, TokenSealer
from qekm.sealing.shares import MAX_COUNT
from qekm.secret import Secret
from qekm.slots import Slots, opened
from qekm.tries import Tries
from qekm.v1 import slots_pb2 as pb

T = TypeVar("T")


def sealer_of(proof: pb.Proof, place: TokenKey) -> Sealer:
    """Return what opens a slot of a proof's kind; takes up to 0.1 s.

    place: the token's, from the service's own configuration: no client names a file of this machine. Raises
    BadArgument, BadFile, BadShares, BadPassword.
    """
    match proof.WhichOneof("means"):
        case "password":
            return PasswordSealer(Secret(proof.password))
        case "key_file":
            return KeySealer(Secret(proof.key_file))
        case "pin":
            return TokenSealer(place, Secret(proof.pin))
        case "shares":
            if len(proof.shares.mnemonics) > MAX_COUNT:
                raise BadArgument(f"there are at most {MAX_COUNT} shares", field="proof")
            return SharesSealer(proof.shares.mnemonics)
        case _:
            hint = "give the keystore's password, a key file, recovery shares, or the token's PIN"
            raise BadArgument("nothing was given to open the keystore with", hint=hint, field="proof")


class Proofs:
    """Opens slots, one at a time and in a thread, so that drives are served meanwhile; counts wrong tries."""

    def __init__(
        self,
        slots: Slots,
        place: TokenKey,
        store: Commits,
        refusals: Strangers,
        now_us: Callable[[], int],
        steady_s: Callable[[], float] = clock.steady_s,
    ) -> None:
        """Take the slots; `refusals` makes few records of many failures, and somebody flushes it."""
        self._slots, self.place, self._store, self._refusals = slots, place, store, refusals
        self._now_us, self._tries = now_us, Tries(steady_s)
        self._turn, self._elsewhere = asyncio.Lock(), asyncio.Lock()

    async def open(
        self, method: str, proof: pb.Proof, *, name: str = "", but: str = ""
    ) -> tuple[Slot, Secret]:
        """Return the slot that the caller's proof opens, and the root key, which is to be wiped.

        name: only this slot; but: any other than this one. A try that has begun is counted, though its caller
        leaves. Raises UnknownSlot, BadPassword, BadShares, BadFile, TokenAway, BadConfiguration for a
        PIN, and TooMany after many.
        """
        sealed = self._slots.sealed(but=but)
        if name:
            sealed = {name: self._slots.find(name).sealed}
        trying = asyncio.create_task(self._open(method, proof, sealed))
        try:
            return await asyncio.shield(trying)
        except asyncio.CancelledError:
            trying.add_done_callback(_wipe)
            raise

    async def tried(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what another try of a proof comes to, made elsewhere; a wrong one is counted. TooMany.

        One at a time, or many would begin before the first of them is known to be wrong. It may take minutes,
        in which the slots stay at hand: `open` does not wait for it. Once begun it goes on, and counts.
        """
        await self._elsewhere.acquire()
        trying = asyncio.create_task(self._tried(work))
        trying.add_done_callback(lambda _: self._elsewhere.release())
        return await asyncio.shield(trying)

    async def work(self, part: Callable[[], T]) -> T:
        """Return what a part that may take long (Argon2id, a token) makes; in a thread, one at a time."""
        async with self._turn:
            return await asyncio.to_thread(part)

    async def _open(self, method: str, proof: pb.Proof, sealed: dict[str, bytes]) -> tuple[Slot, Secret]:
        async with self._turn:
            try:
                self._tries.check()
                found, root = await asyncio.to_thread(lambda: opened(sealed, sealer_of(proof, self.place)))
            except QekmError as error:
                await self._refused(method, error)
                raise
        return self._slots.find(found), root

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        self._tries.check()
        try:
            return await work()
        except (BadPassword, BadConfiguration, TokenAway):
            self._tries.fail()
            raise

    async def _refused(self, method: str, error: QekmError) -> None:
        """Count a wrong try, and record every failure, many of one caller as one record a minute."""
        if isinstance(error, BadPassword | BadConfiguration | TokenAway):
            self._tries.fail()
        actor, now_us = caller().actor, self._now_us()
        record = called(now_us, method, actor, Outcome.FAILURE, code=error.reason(), message=error.message)
        if records := self._refusals.count(record):
            await self._store.commit(records)


def _wipe(trying: asyncio.Task[tuple[Slot, Secret]]) -> None:
    """Forget the root key of a try that nobody waits for any more."""
    if not trying.cancelled() and trying.exception() is None:
        trying.result()[1].wipe()
