"""The password's slot: Argon2id, and what a password must be like."""

from __future__ import annotations

import os
import unicodedata

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from qekm.errors import BadPassword, StoreDamaged
from qekm.sealing.slot import ROOT_LENGTH, Cost, RandomBytes, read_slot, write_slot
from qekm.secret import Secret

MIN_PASSWORD, MAX_PASSWORD = 8, 1024  # characters; SP 800-63B, 5.1.1.2
_MOST_BYTES = 16 * MAX_PASSWORD  # of UTF-8, before it is normalised: more makes no 1,024 characters
_MOST_MARKS = 30  # in a row, as in stream-safe text (UAX 15, section 13): sorting them takes the square of it
# The original's own default, and what people type instead of it.
_FORBIDDEN = frozenset({"changeme", "password", "12345678", "123456789", "1234567890", "qwertyui"})

# The second choice of RFC 9106, section 4, with one lane: threads would be taken from serving. 0.2 s.
COST = Cost(64 * 1024, 3, 1)
# What a slot may ask of the machine that opens it: 4 GiB.
_CEILING = Cost(4 * 1024 * 1024, 64, 64)


class PasswordSealer:
    """A password, stretched with Argon2id; in UTF-8 and NFC, so that it is the same from every keyboard."""

    kind = "password"

    def __init__(
        self, password: Secret, *, cost: Cost = COST, random_bytes: RandomBytes = os.urandom
    ) -> None:
        """`cost` is for new slots and the least that is accepted of old ones; only tests pass another."""
        self._password = normalised(password)
        self._cost = cost
        self._random_bytes = random_bytes

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this password opens; BadPassword if the password may not be set."""
        check_password(self._password)
        return write_slot(self.kind, self._cost, root, self._derive, self._random_bytes)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; StoreDamaged also for a slot whose work factor was lowered or is absurd."""
        return read_slot(self.kind, slot, self._derive)

    def _derive(self, salt: bytes, cost: Cost) -> bytes:
        if not (_reaches(cost, self._cost) and _reaches(_CEILING, cost)):
            raise StoreDamaged(
                "the password slot has a work factor that this program never sets", slot=self.kind
            )
        argon = Argon2id(
            salt=salt,
            length=ROOT_LENGTH,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        )
        return argon.derive(self._password.reveal())


def check_password(password: Secret) -> None:
    """Raise BadPassword unless the password (UTF-8) has 8 to 1,024 characters and is not a well-known one."""
    text = _text(password)
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise BadPassword(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters")
    if text.casefold() in _FORBIDDEN:
        raise BadPassword("this password is the first that anybody would try")


def _text(password: Secret) -> str:
    """Return a password in NFC; what takes long to normalise is refused first, for nothing runs meanwhile."""
    raw = password.reveal()
    if len(raw) > _MOST_BYTES:
        raise BadPassword(f"a password has at most {MAX_PASSWORD:,} characters")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BadPassword("a password is UTF-8 text") from None
    if any(len(run) > _MOST_MARKS for run in _marks(text)):
        raise BadPassword(f"a password has at most {_MOST_MARKS} combining marks on one character")
    return unicodedata.normalize("NFC", text)


def _marks(text: str) -> list[str]:
    """Return the runs of combining marks in a text."""
    return "".join(each if unicodedata.combining(each) else "\0" for each in text).split("\0")


def normalised(password: Secret) -> Secret:
    """Return a password in its one spelling (UTF-8, NFC); BadPassword if nobody could have set it."""
    text = _text(password)
    if len(text) > MAX_PASSWORD:
        raise BadPassword(f"a password has at most {MAX_PASSWORD:,} characters")
    return Secret(text.encode())


def _reaches(cost: Cost, floor: Cost) -> bool:
    return (
        cost.memory_kib >= floor.memory_kib
        and cost.iterations >= floor.iterations
        and cost.lanes >= floor.lanes
    )
