"""Tries at command passwords: in a thread, one at a time, each counted before its caller hears of it.

One object for all listeners, or another listener would be a new start. Drives are served meanwhile. Callers
take turns: whoever has many tries waiting waits for himself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from qekm.accounts import Accounts
from qekm.api.guard import caller
from qekm.api.journal import Commits
from qekm.audit import Strangers, called, occurred
from qekm.errors import BadPassword, TooMany
from qekm.model import Account, Change, Outcome
from qekm.opened import Opened
from qekm.sealing import Verifiers, check_password
from qekm.secret import Secret
from qekm.sessions import Sessions

MOST_WAITING = 4  # of one caller
MOST_OF_ALL = 16  # of all callers; beyond it one of each who has none
T = TypeVar("T")

Act = Callable[[bytes], tuple[T, Sequence[Change]]]
"""What a right password leads to; takes the new verifier to be kept, empty if there is none."""


class Logins:
    """Stretches passwords (Argon2id, 0.2 s), counts wrong ones, opens and ends sessions."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        opened: Opened,
        store: Commits,
        refusals: Strangers,
        now_us: Callable[[], int],
        verifiers: Verifiers,
    ) -> None:
        """Take the owners; `refusals` makes few records of many failures, and somebody flushes it."""
        self._accounts, self._sessions, self._opened = accounts, sessions, opened
        self._store, self._refusals, self._now_us, self._verifiers = store, refusals, now_us, verifiers
        self._turn, self._turns = asyncio.Lock(), dict[str, asyncio.Lock]()
        self._waiting = Counter[str]()

    async def login(self, password: Secret) -> bytes:
        """Return a new session of the caller; UnknownAccount, AccountLocked, BadPassword, TooMany."""
        own = caller()

        def open_(stronger: bytes) -> tuple[bytes, Sequence[Change]]:
            """Open a session."""
            changes = self._accounts.succeed(own.actor, stronger)
            return self._sessions.open(own.actor, own.serial), changes

        return await self._begun(lambda: self._prove("Login", password, None, open_))

    async def change(self, old: Secret, new: Secret) -> None:
        """Set the caller's own password, and end his sessions; errors as `login`."""
        actor = caller().actor
        check_password(new)

        def put(verifier: bytes) -> tuple[None, Sequence[Change]]:
            """Put the new password in the place of the old one."""
            self.end(actor)
            return None, [self._accounts.change(actor, verifier)]

        await self._begun(lambda: self._prove("UpdateOwnPassword", old, new, put))

    async def verifier(self, password: Secret) -> bytes:
        """Return the verifier of a new password; BadPassword, TooMany."""
        check_password(password)
        return await self._begun(lambda: asyncio.to_thread(self._verifiers.make, password))

    def leave(self, session: bytes) -> None:
        """End one session of the caller, and close the keystore for him."""
        actor = caller().actor
        self._sessions.end(actor, session)
        self._opened.close(actor)

    def end(self, actor: str) -> None:
        """End everything that a person has open."""
        self._sessions.end_all(actor)
        self._opened.close(actor)

    async def _begun(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have work done in its turn; once begun it goes on and counts, though its caller leaves. TooMany."""
        actor = caller().actor
        own = self._waiting[actor]
        if own >= MOST_WAITING or (own and self._waiting.total() >= MOST_OF_ALL):
            what = f"enough passwords of {actor} are being looked at: {own}"
            raise TooMany(what, hint="try again when they are done", limit=str(MOST_WAITING))
        self._waiting[actor] += 1
        trying = asyncio.create_task(self._in_turn(actor, work))
        trying.add_done_callback(lambda _: self._leave(actor))
        try:
            return await asyncio.shield(trying)
        except asyncio.CancelledError:
            trying.add_done_callback(_unheard)
            raise

    async def _in_turn(self, actor: str, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for the caller's own tries first: no more than one of each waits for the turn of all."""
        async with self._turns.setdefault(actor, asyncio.Lock()), self._turn:
            return await work()

    def _leave(self, actor: str) -> None:
        self._waiting[actor] -= 1
        if not self._waiting[actor]:
            del self._waiting[actor]
            self._turns.pop(actor, None)

    async def _prove(self, method: str, password: Secret, new: Secret | None, act: Act[T]) -> T:
        """Try the caller's password; commit what a right one leads to, or the count of the wrong ones."""
        actor = caller().actor
        account = self._accounts.check(actor)
        if not await asyncio.to_thread(self._verifiers.is_right, account.verifier, password):
            await self._commit_wrong(method, self._accounts.fail(actor))
            raise _wrong(actor)
        verifier = await asyncio.to_thread(self._renewed, account, password, new)
        if self._accounts.find(actor).verifier != account.verifier:
            raise _wrong(actor)  # another one was set meanwhile
        result, changes = act(verifier)  # nothing is awaited since the look before
        await self._store.commit([*changes, called(self._now_us(), method, actor)])
        return result

    def _renewed(self, account: Account, password: Secret, new: Secret | None) -> bytes:
        """Return the verifier to be kept from now on; empty for the present one."""
        if new is not None:
            return self._verifiers.make(new)
        return self._verifiers.strengthen(password) if self._verifiers.is_weak(account.verifier) else b""

    async def _commit_wrong(self, method: str, account: Account) -> None:
        """Make the count durable, and record the try: many of one caller as one record a minute."""
        now_us, actor = self._now_us(), account.actor
        told, code = f"wrong password, {account.wrong} in a row", BadPassword.reason()
        record = called(now_us, method, actor, Outcome.FAILURE, code=code, message=told)
        changes: list[Change] = [account, *self._refusals.count(record)]
        if self._accounts.is_locked(account):
            changes.append(occurred(now_us, "account.lock", actor, Outcome.FAILURE, message=told))
        await self._store.commit(changes)


def _wrong(actor: str) -> BadPassword:
    return BadPassword(f"this is not the command password of {actor}")


def _unheard(trying: asyncio.Task[T]) -> None:
    """Take note of how a try ended whose caller has gone."""
    if not trying.cancelled():
        trying.exception()
