"""Set a command password while the service is stopped: the way back when it was forgotten."""

from __future__ import annotations

from collections.abc import Callable

from qekm.accounts import Accounts
from qekm.audit import occurred
from qekm.clock import steady_s
from qekm.configuration.settings import Settings
from qekm.errors import StoreInUse
from qekm.estate import Estate
from qekm.home import Home
from qekm.model import Account, Certificate
from qekm.offline import commit
from qekm.sealing import COST, Cost, Sealer, Verifiers, check_password
from qekm.secret import Secret
from qekm.standing import doubt, open_store

ACTOR = "passwd"  # in the audit trail: who has the root key and the store needs no certificate


def reset(
    home: Home,
    settings: Settings,
    sealer: Sealer,
    actor: str,
    password: Secret,
    now_us: Callable[[], int],
    cost: Cost = COST,
) -> tuple[Account, bool]:
    """Set a person's (role/name) password, the first or another; returns whether he has a certificate, too.

    It ends a lock. The store is locked meanwhile: StoreInUse while the service runs. BadPassword for one that
    may not be set.
    """
    check_password(password)
    try:
        store = open_store(home, settings, sealer)
    except StoreInUse as error:
        hint = "while the service runs another administrator may: qekm accounts reset; else stop it first"
        raise StoreInUse(error.message, hint=hint, **error.details) from None
    try:
        found = store.load()
        verifier = Verifiers(store.ring.pepper, cost=cost).make(password)
        accounts = Accounts(found.accounts, now_us, steady_s)
        is_known = actor in accounts
        account = accounts.change(actor, verifier) if is_known else accounts.create(actor, verifier)
        estate = Estate.load(found.vaults, found.settings, store.ring)
        _, doubts = doubt(store, found.settings, now_us(), ACTOR)
        what = f"{actor}: {'another' if is_known else 'the first'} command password"
        commit(store, estate, [*doubts, account, occurred(now_us(), "account.reset", ACTOR, message=what)])
    finally:
        store.close()
    return account, any(_is_of(each, account, now_us()) for each in found.certificates)


def _is_of(certificate: Certificate, account: Account, now_us: int) -> bool:
    """Tell whether a certificate is an account's and in force."""
    same = (certificate.role, certificate.name) == (account.role, account.name)
    return same and not certificate.revoke_time_us and now_us < certificate.expire_time_us
