"""What is kept of a command password: enough to tell the right one, and nothing that shows it.

Argon2id (RFC 9106) in the PHC string format, so that salt and cost are written down beside what they gave:
$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH, both in base64 without padding.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from qekm.errors import StoreDamaged
from qekm.sealing.password import COST, check_password, normalised
from qekm.sealing.slot import Cost, RandomBytes
from qekm.secret import Secret

_SALT, _HASH = 16, 32  # bytes; RFC 9106, section 4
_MOST_KIB = 4 * 1024 * 1024  # what a verifier may ask of the machine: 4 GiB
_FORM = re.compile(
    rb"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,4}),p=([1-9][0-9]{0,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})"
)


def make_verifier(password: Secret, *, cost: Cost = COST, random_bytes: RandomBytes = os.urandom) -> bytes:
    """Return the verifier of a new password; BadPassword if it may not be set. Takes 0.2 s at usual cost."""
    check_password(password)
    return strengthened(password, cost=cost, random_bytes=random_bytes)


def strengthened(password: Secret, *, cost: Cost = COST, random_bytes: RandomBytes = os.urandom) -> bytes:
    """Return a verifier at the present cost of a password that was set before, by whatever rules."""
    salt = random_bytes(_SALT)
    head = f"$argon2id$v=19$m={cost.memory_kib},t={cost.iterations},p={cost.lanes}$".encode()
    return head + _text(salt) + b"$" + _text(_stretched(password, salt, cost))


def verifies(verifier: bytes, password: Secret) -> bool:
    """Tell whether a password is the right one; as long for any. BadPassword if nobody could have set it."""
    cost, salt, expected = _read(verifier)
    return hmac.compare_digest(_stretched(password, salt, cost), expected)


def is_weak(verifier: bytes, cost: Cost = COST) -> bool:
    """Tell whether a verifier was made at a lower cost than is asked now; StoreDamaged."""
    made = _read(verifier)[0]
    return made.memory_kib < cost.memory_kib or made.iterations < cost.iterations


def _stretched(password: Secret, salt: bytes, cost: Cost) -> bytes:
    argon = Argon2id(
        salt=salt, length=_HASH, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    )
    with normalised(password) as normal:
        return argon.derive(normal.reveal())


def _read(verifier: bytes) -> tuple[Cost, bytes, bytes]:
    found = _FORM.fullmatch(verifier)
    if found is not None:
        cost, salt, hash_ = Cost(*map(int, found.groups()[:3])), _bytes(found[4]), _bytes(found[5])
        in_one_spelling = (_text(salt), _text(hash_)) == (found[4], found[5])
        # The floor is Argon2's own.
        if in_one_spelling and 8 * cost.lanes <= cost.memory_kib <= _MOST_KIB:
            return cost, salt, hash_
    raise StoreDamaged("an account's verifier is none of this program's")


def _text(value: bytes) -> bytes:
    return b64encode(value).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4))
