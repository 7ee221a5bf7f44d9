"""Lay a key under its cover and take it out again. Pure: the slow part is cover.stretch alone."""

from __future__ import annotations

import os
from collections.abc import Callable

from qekm.errors import BadArgument, BadPassword
from qekm.interchange.jceks.cover import (
    ITERATIONS,
    MOST_ITERATIONS,
    SALT_LENGTH,
    Work,
    cover,
    password_bytes,
    stretch,
    uncover,
)
from qekm.interchange.jceks.entries import Key, Kind, PrivateKey, ProtectedKey, SecretKey
from qekm.interchange.jceks.javaobject import STREAM
from qekm.interchange.jceks.privatekey import is_private
from qekm.interchange.jceks.sealed import Named, read_key, write_key
from qekm.secret import Secret

RandomBytes = Callable[[int], bytes]


def unprotect(entry: ProtectedKey, password: Secret) -> Key:
    """Return the key; BadPassword if it is another's, BadFile if what is there is not a key."""
    work = entry.work()
    return unseal(entry, stretch(password_bytes(password), work))


def protect(
    key: Key, password: Secret, *, iterations: int = ITERATIONS, random_bytes: RandomBytes = os.urandom
) -> ProtectedKey:
    """Return the key under this password, as Java protects it; BadArgument, BadPassword."""
    work = new_work(iterations, random_bytes)
    return seal(key, work, stretch(password_bytes(password), work))


def new_work(iterations: int, random_bytes: RandomBytes) -> Work:
    """Return the work of a key that is to be protected; BadArgument if Java would not do it."""
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise BadArgument(f"iterations are 1 to {MOST_ITERATIONS:,}", field="iterations")
    return Work(random_bytes(SALT_LENGTH), iterations)


def unseal(entry: ProtectedKey, derived: bytes) -> Key:
    """Return the key, given what stretch() made of its work; BadPassword, BadFile."""
    plain = uncover(entry.cover, derived)
    secret = entry.kind is Kind.SECRET
    if plain is None or not (plain.startswith(STREAM) if secret else is_private(plain)):
        hint = "in Java every key may have a password of its own, which need not be the store's"
        raise BadPassword(f"the password does not open {entry.name}", hint=hint)
    if secret:
        return SecretKey(entry.alias, entry.created_ms, *read_key(plain, entry.name))
    return PrivateKey(entry.alias, entry.created_ms, Secret(plain), entry.chain)


def seal(key: Key, work: Work, derived: bytes) -> ProtectedKey:
    """Return the key covered with what stretch() made of this work."""
    if isinstance(key, PrivateKey):
        covered = cover(key.pkcs8.reveal(), work, derived)
        return ProtectedKey(key.alias, key.created_ms, Kind.PRIVATE, covered, key.chain)
    covered = cover(write_key(Named(key.algorithm, key.material)), work, derived)
    return ProtectedKey(key.alias, key.created_ms, Kind.SECRET, covered)
