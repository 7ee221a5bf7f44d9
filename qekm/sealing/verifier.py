"""What is kept of a command password: enough to tell the right one, and nothing that shows it.

Argon2id (RFC 9106) in the PHC string format, so that salt and cost are written down beside what they gave:
$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH, both in base64 without padding. Its secret value (K) is derived from
the root key: whoever has stolen the store alone cannot even guess.
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
    rb"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,4}),p=([1-9][0-9]{0,2})"
    rb"\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})"
)


class Verifiers:
    """Makes and checks verifiers of one estate; each takes 0.2 s at the usual cost."""

    def __init__(self, pepper: bytes, *, cost: Cost = COST, random_bytes: RandomBytes = os.urandom) -> None:
        """pepper: that of the key ring. cost: of new verifiers; only tests pass another."""
        self._pepper, self._cost, self._random_bytes = pepper, cost, random_bytes

    def make(self, password: Secret) -> bytes:
        """Return the verifier of a new password; BadPassword if it may not be set."""
        check_password(password)
        return self.strengthen(password)

    def strengthen(self, password: Secret) -> bytes:
        """Return a verifier at the present cost of a password that was set before, by whatever rules."""
        salt, cost = self._random_bytes(_SALT), self._cost
        head = f"$argon2id$v=19$m={cost.memory_kib},t={cost.iterations},p={cost.lanes}$".encode()
        return head + _text(salt) + b"$" + _text(self._stretched(password, salt, cost))

    def is_right(self, verifier: bytes, password: Secret) -> bool:
        """Tell whether a password is the verifier's; as long for any.

        BadPassword if nobody could have set it, StoreDamaged for what is no verifier.
        """
        cost, salt, expected = _read(verifier)
        return hmac.compare_digest(self._stretched(password, salt, cost), expected)

    def is_weak(self, verifier: bytes) -> bool:
        """Tell whether a verifier was made at a lower cost than new ones are; StoreDamaged."""
        made, cost = _read(verifier)[0], self._cost
        return made.memory_kib < cost.memory_kib or made.iterations < cost.iterations

    def _stretched(self, password: Secret, salt: bytes, cost: Cost) -> bytes:
        argon = Argon2id(
            salt=salt,
            length=_HASH,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
            secret=self._pepper,
        )
        with normalised(password) as normal:
            return argon.derive(normal.reveal())


def _read(verifier: bytes) -> tuple[Cost, bytes, bytes]:
    """Return cost, salt and hash; StoreDamaged unless they stand in their one spelling."""
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
