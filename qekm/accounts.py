"""Own the accounts: who has a command password, how many tries at it were wrong, and who has to wait.

Memory only: what changes is returned, to be committed before anybody is told. A password itself is never
here; whoever stretches it (0.2 s) does that in a thread, and tells here what came of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from qekm.clock import utc
from qekm.errors import AccountExists, AccountLocked, NotAllowed, TooMany, UnknownAccount
from qekm.model import Account, Certificate, Change, Removal, Role
from qekm.subject import check_name

PEOPLE = frozenset({Role.ADMINISTRATOR, Role.OPERATOR, Role.AUDITOR, Role.CUSTODIAN})
MOST = 1_000
FREE = 5  # wrong tries in a row without a wait: people mistype
MOST_WRONG = 10  # in a row; from this one on each locks the account
LOCK_US = 15 * 60 * 1_000_000


def actor_of(role: Role, name: str) -> str:
    """Return a person as the audit trail names him, role/name; BadArgument, NotAllowed for a machine."""
    if role not in PEOPLE:
        told = role.name.lower()
        raise NotAllowed(f"only a person has a command password, not a {told}", role=told, method="")
    return f"{role.name.lower()}/{check_name(name)}"


class Accounts:
    """The accounts by actor (role/name).

    Only the holder of a certificate can try its password, so a wait and a lock keep out nobody else. The
    count of wrong tries is kept in the store and ends with a right one only: neither another connection nor
    a restart is a new start.

    Waits and locks are measured by a clock that nobody sets. The end of a lock by the time of day is kept
    for a restart; where that time was set meanwhile the lock lasts as long as a new one at the most.
    """

    def __init__(
        self, stored: Iterable[Account], now_us: Callable[[], int], steady_s: Callable[[], float]
    ) -> None:
        """Take what the store holds; who had to wait before a restart waits once more."""
        self._accounts = {account.actor: account for account in stored}
        self._now_us, self._steady_s = now_us, steady_s
        self._free_s: dict[str, float] = {}  # when the next try may be made
        for each in self._accounts.values():
            if each.wrong:
                left_us = min(each.locked_until_us - now_us(), LOCK_US)
                self._wait(each, max(_delay_s(each.wrong), left_us / 1e6))

    def __contains__(self, actor: object) -> bool:
        """Tell whether an identity has a command password."""
        return actor in self._accounts

    def __iter__(self) -> Iterator[Account]:
        """Give the accounts by role and name."""
        return iter(sorted(self._accounts.values(), key=lambda each: each.actor))

    def find(self, actor: str) -> Account:
        """Return an account; UnknownAccount."""
        account = self._accounts.get(actor)
        if account is None:
            raise UnknownAccount(f"{actor} has no command password", account=actor)
        return account

    def page(self, after: str = "", limit: int = 100) -> list[Account]:
        """Return at most `limit` accounts, by role and name, after that of an actor."""
        return [account for account in self if account.actor > after][:limit]

    def is_locked(self, account: Account) -> bool:
        """Tell whether no password is taken for an account now."""
        return bool(account.locked_until_us) and self._left_s(account) > 0

    def lock_end_us(self, account: Account) -> int:
        """Return when the lock of an account ends, by the time of day as it is now; 0 without a lock."""
        return self._now_us() + int(self._left_s(account) * 1e6) if self.is_locked(account) else 0

    # Who tries.

    def check(self, actor: str) -> Account:
        """Return the account whose password may be tried now; UnknownAccount, AccountLocked, TooMany."""
        account = self.find(actor)
        if self.is_locked(account):
            until = utc(self.lock_end_us(account))
            raise AccountLocked(
                f"{account.wrong} passwords of {actor} in a row were wrong: none is taken until {until}",
                account=actor,
                until=until,
            )
        left_s = self._left_s(account)
        if left_s > 0:
            what = f"{account.wrong} passwords of {actor} in a row were wrong: wait {math.ceil(left_s)} s"
            raise TooMany(what, hint="then try again", limit=str(FREE))
        return account

    def fail(self, actor: str) -> Account:
        """Count a wrong try; from the tenth in a row on each locks the account for 15 minutes."""
        account = self.find(actor)
        wrong = account.wrong + 1
        locks = wrong >= MOST_WRONG
        until_us = self._now_us() + LOCK_US if locks else 0
        account = self._put(replace(account, wrong=wrong, locked_until_us=until_us))
        self._wait(account, LOCK_US / 1e6 if locks else _delay_s(wrong))
        return account

    def succeed(self, actor: str, stronger: bytes = b"") -> list[Change]:
        """Forget the tries before a right one; stronger: its verifier at a higher cost. UnknownAccount."""
        account = self.find(actor)
        if not (account.wrong or stronger):
            return []
        verifier = stronger or account.verifier
        return [self._put(replace(account, verifier=verifier, wrong=0, locked_until_us=0))]

    # What changes.

    def check_new(self, actor: str) -> None:
        """Raise what `create` would raise: AccountExists, TooMany."""
        if actor in self._accounts:
            hint = "set another password with: qekm accounts reset"
            raise AccountExists(f"{actor} has a command password already", hint=hint, account=actor)
        if len(self._accounts) >= MOST:
            raise TooMany(f"there are at most {MOST:,} accounts", limit=str(MOST))

    def create(self, actor: str, verifier: bytes) -> Account:
        """Give an identity its first password; errors as `check_new`."""
        self.check_new(actor)
        now_us = self._now_us()
        return self._put(Account(actor, verifier, now_us, now_us))

    def change(self, actor: str, verifier: bytes) -> Account:
        """Set another password, and forget the tries at the one before; UnknownAccount."""
        account = self.find(actor)
        return self._put(
            replace(account, verifier=verifier, password_time_us=self._now_us(), wrong=0, locked_until_us=0)
        )

    def unlock(self, actor: str) -> Account:
        """End a lock, because another person says so; UnknownAccount.

        It is worth one try: were the tries forgotten, two persons of one mind could guess without end.
        """
        account = self.find(actor)
        self._free_s.pop(actor, None)
        return self._put(replace(account, wrong=min(account.wrong, MOST_WRONG - 1), locked_until_us=0))

    def delete(self, actor: str) -> Removal:
        """Take a password away; UnknownAccount."""
        del self._accounts[self.find(actor).actor]
        self._free_s.pop(actor, None)
        return Removal(Account, actor)

    # What other servers have changed: nothing of it is refused.

    def take(self, account: Account) -> bool:
        """Put an account in the place of the one of its actor; tell whether it has another password now."""
        old = self._accounts.get(account.actor)
        self._put(account)
        if account.wrong > (old.wrong if old is not None else 0):
            left_us = min(account.locked_until_us - self._now_us(), LOCK_US)
            self._wait(account, max(_delay_s(account.wrong), left_us / 1e6))
        return old is None or old.password_time_us != account.password_time_us

    def drop(self, actor: str) -> None:
        """Forget an account, if it is there."""
        if self._accounts.pop(actor, None) is not None:
            self._free_s.pop(actor, None)

    def _wait(self, account: Account, seconds: float) -> None:
        self._free_s[account.actor] = self._steady_s() + seconds

    def _left_s(self, account: Account) -> float:
        """Return the seconds until the next try may be made; 0 or less: now."""
        return self._free_s[account.actor] - self._steady_s() if account.actor in self._free_s else 0.0

    def _put(self, account: Account) -> Account:
        self._accounts[account.actor] = account
        if not account.wrong:
            self._free_s.pop(account.actor, None)
        return account


def unguarded(accounts: Accounts, certificates: Iterable[Certificate], now_us: int) -> Iterator[str]:
    """Yield a line for each administrator whose certificate is in force and who has no password."""
    actors = {
        f"administrator/{each.name}"
        for each in certificates
        if each.role is Role.ADMINISTRATOR and not each.revoke_time_us and now_us < each.expire_time_us
    }
    for actor in sorted(actors):
        if actor not in accounts:
            yield no_password(actor)


def no_password(actor: str) -> str:
    """Return what a status says of an administrator without a password."""
    return f"{actor} has no command password: its certificate alone is enough"


def _delay_s(wrong: int) -> float:
    """Return the seconds between so many wrong tries in a row and the next try."""
    return 0.0 if wrong < FREE else 2.0 ** min(wrong - FREE, MOST_WRONG - FREE)
