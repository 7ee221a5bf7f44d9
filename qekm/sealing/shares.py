"""The recovery shares' slot: any m of n people open the store together when everything else is lost.

The shares are mnemonics by SLIP-0039: English words, copied by hand or read over a telephone, each share with
a checksum that finds up to three wrong words. What they share is a secret of their own, not the root key:
new shares need a new slot only, and the old ones then open nothing but old copies of the store.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from shamir_mnemonic import (  # type: ignore[import-untyped]
    MnemonicError,
    Share,
    combine_mnemonics,
    generate_mnemonics,
)
from shamir_mnemonic.wordlist import WORD_INDEX_MAP  # type: ignore[import-untyped]

from qekm.errors import BadArgument, BadShares
from qekm.sealing.slot import NO_COST, ROOT_LENGTH, RandomBytes, hkdf, read_slot, write_slot
from qekm.secret import Secret

THRESHOLD, COUNT = 3, 5
MAX_COUNT = 16  # SLIP-0039: a share's number has four bits
WORDS = 33  # of a share of 32 bytes
_LONGEST = 65_536  # bytes of a file of shares: sixteen, with much to say about each
_TOGETHER = "bring different shares that were made together"

# The passphrase of SLIP-0039 stays empty: it is checked by nothing (a mistyped one gives another secret), and
# would be one more thing to lose in the one case in which nothing else is left. Its stretching is there to
# slow down guesses at a passphrase; without one it protects nothing, so it is the least there is (10,000
# rounds of PBKDF2, 5 ms), and a share that asks for more, up to minutes, is none of ours.
_EXPONENT = 0


def split(
    threshold: int = THRESHOLD, count: int = COUNT, *, random_bytes: RandomBytes = os.urandom
) -> list[str]:
    """Return the shares of a fresh secret, 33 words each; BadArgument unless 2 <= threshold <= count <= 16.

    Words are for people to write down, and so they are the one kind of key material in str. The library
    draws the other coefficients itself (secrets.token_bytes).
    """
    # One share that opens alone would be a password on paper, and the standard refuses several of them.
    if not 2 <= threshold <= count <= MAX_COUNT:
        what = f"of 2 to {MAX_COUNT} shares at least 2 must be needed, not {threshold} of {count}"
        raise BadArgument(what, field="threshold")
    [mnemonics] = generate_mnemonics(
        1, [(threshold, count)], random_bytes(ROOT_LENGTH), iteration_exponent=_EXPONENT
    )
    return list(mnemonics)


def combine(mnemonics: Sequence[str]) -> Secret:
    """Return the secret of enough shares, 32 bytes; BadShares says which of them is wrong, counted from 1.

    Shares beyond the number that is needed must agree with the others.
    """
    shares = [_share(mnemonic, number) for number, mnemonic in enumerate(mnemonics, 1)]
    needed = _needed(shares)
    secret = _recovered(shares[:needed])
    if secret is None:
        raise BadShares("these shares do not fit together: one of them is of another set", hint=_TOGETHER)
    for number, extra in enumerate(shares[needed:], needed + 1):
        if _recovered([*shares[1:needed], extra]) != secret:
            raise _bad(number, "does not fit the shares before it", hint=_TOGETHER)
    return Secret(secret)


def read_shares(content: bytes) -> list[str]:
    """Return the shares of a text file, one a line; a # begins a comment. BadShares unless it is UTF-8 text.

    Case and blanks do not matter, nor does the mark that some editors put first.
    """
    if len(content) > _LONGEST:
        raise BadShares(f"a file of shares has at most {_LONGEST:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadShares("a file of shares is UTF-8 text") from None
    lines = (" ".join(line.partition("#")[0].lower().split()) for line in text.splitlines())
    return [line for line in lines if line]


class SharesSealer:
    """Enough recovery shares, whoever brings them; not for unattended start."""

    kind = "shares"

    def __init__(self, mnemonics: Sequence[str], *, random_bytes: RandomBytes = os.urandom) -> None:
        """Take the shares, in any order; BadShares as `combine`."""
        self._derive = hkdf(combine(mnemonics), self.kind)
        self._random_bytes = random_bytes

    def seal(self, root: Secret) -> bytes:
        """Return a slot that these shares open, and as many others of their set."""
        return write_slot(self.kind, NO_COST, root, self._derive, self._random_bytes)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadPassword if these are another store's, or were replaced; StoreDamaged."""
        return read_slot(self.kind, slot, self._derive, "set of shares")


def _share(mnemonic: str, number: int) -> Share:
    """Return one share that this program made; BadShares, which repeats no word."""
    words = mnemonic.lower().split()
    for place, word in enumerate(words, 1):
        if word not in WORD_INDEX_MAP:
            raise _bad(number, f"was mistyped: its word {place} is none that shares are made of")
    if len(words) != WORDS:
        raise _bad(number, f"has {len(words)} words, not {WORDS}")
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise _bad(number, "was mistyped: its checksum does not fit") from None
    if share.iteration_exponent != _EXPONENT or share.group_count != 1 or share.member_threshold < 2:
        raise _bad(number, "was made by another program", hint=_TOGETHER)
    return share


def _needed(shares: Sequence[Share]) -> int:
    """Return how many shares of this set are needed; BadShares unless these are as many, all different."""
    if not shares:
        raise BadShares("no shares were given")
    seen: dict[int, int] = {}
    for number, share in enumerate(shares, 1):
        if share.group_parameters() != shares[0].group_parameters():
            raise _bad(number, "is of another set than share 1", hint=_TOGETHER)
        before = seen.setdefault(share.index, number)
        if before != number:
            again = share == shares[before - 1]
            what = f"is share {before} again" if again else f"contradicts share {before}"
            raise _bad(number, what, hint=_TOGETHER)
    needed: int = shares[0].member_threshold
    if (missing := needed - len(shares)) > 0:
        given = f"{needed} shares are needed and {len(shares)} given"
        raise BadShares(f"{given}: {missing} more {'is' if missing == 1 else 'are'} missing")
    return needed


def _recovered(shares: Sequence[Share]) -> bytes | None:
    """Return the secret of exactly as many shares as are needed; None if their digest does not fit."""
    try:
        return bytes(combine_mnemonics([share.mnemonic() for share in shares]))
    except MnemonicError:
        return None


def _bad(number: int, what: str, hint: str = "compare it, word by word, with what is on paper") -> BadShares:
    return BadShares(f"share {number} {what}", hint=hint, share=str(number))
