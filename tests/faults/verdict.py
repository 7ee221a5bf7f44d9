"""The judge: what the drives wrote down themselves, against what the key manager's disk holds afterwards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from qekm.errors import StoreDamaged
from qekm.home import Home
from qekm.model import Key, KeyState
from qekm.sealing import KeyFileSealer, KeyRing
from qekm.store import Store
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock

_NEVER_GIVEN = frozenset({KeyState.GENERATED, KeyState.READY})


class Entry(NamedTuple):
    """A line of a drive's book: a key that it installed."""

    alias: str
    digest: str
    mount: str
    volser: str


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind; every mount has a volser of its own, so a volser stands for a cartridge."""

    keys: int = 0  # different ones in the books
    again: int = 0  # mounts that were given their key more than once: retries
    lost: list[str] = field(default_factory=list)  # a drive has it, the store has not
    unreadable: list[str] = field(default_factory=list)  # the store has something else, or cannot open it
    free: list[str] = field(default_factory=list)  # given, and yet to be given again
    twice: list[str] = field(default_factory=list)  # given to two cartridges
    changed: list[str] = field(default_factory=list)  # a mount's retry got another key
    trail: list[str] = field(default_factory=list)  # the trail does not verify

    @property
    def flaws(self) -> list[str]:
        """Return everything that is wrong, for people."""
        found = {each.name: getattr(self, each.name) for each in fields(self)[2:]}
        return [f"{kind}: {', '.join(names[:5])}" for kind, names in found.items() if names]

    def __str__(self) -> str:
        return (
            f"{self.keys:,} keys in the drives' books: {len(self.lost)} lost, {len(self.twice)} given twice, "
            f"{len(self.unreadable)} unreadable, {len(self.free)} still to be given; "
            f"{self.again} mounts were given their key again, {len(self.changed)} got another one"
        )


def read_book(*books: Path) -> list[Entry]:
    """Return every line of the drives' books."""
    present = (book for book in books if book.exists())
    return [Entry(*line.split(",")) for book in present for line in book.read_text().splitlines()]


def judge(home: Home, books: Iterable[Path]) -> Verdict:
    """Compare books with the store of a home that nobody serves; nothing of it is changed."""
    entries = read_book(*books)
    installed = sorted({(entry.alias, entry.digest) for entry in entries})
    verdict = Verdict(len({alias for alias, _ in installed}))
    with Store.looked_at(home.store) as store:
        ring = unlock(KeyFileSealer(home.root_key))(store.locked())
        keys = {key.alias: key for key in store.load().keys}
        trail = [item.record for item in store.iterate_audit()]
    gifts = Counter((record.alias, record.volser) for record in trail if record.event == "key.create")
    verdict.again = sum(count > 1 for count in gifts.values())
    given = gifts.keys() | {(entry.alias, entry.volser) for entry in entries}
    for alias, digest in installed:
        _compare(alias, digest, keys, ring, verdict)
    verdict.free = sorted(alias for alias, _ in given if alias in keys and keys[alias].state in _NEVER_GIVEN)
    verdict.twice = _ambiguous(given)
    verdict.changed = _ambiguous((volser, alias) for alias, volser in given)
    checked = verify(home, read_public_key(home.audit_key))
    if not checked.intact:
        verdict.trail = [f"record {checked.broken_at}: {checked.reason}"]
    return verdict


def _compare(alias: str, digest: str, keys: Mapping[str, Key], ring: KeyRing, verdict: Verdict) -> None:
    if alias not in keys:
        verdict.lost.append(alias)
        return
    try:
        with ring.open_key(keys[alias]) as secret:
            if sha256(secret.reveal()).hexdigest() != digest:
                verdict.unreadable.append(alias)
    except StoreDamaged:
        verdict.unreadable.append(alias)


def _ambiguous(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names that occur with more than one other."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, other in pairs:
        found[name].add(other)
    return sorted(name for name, others in found.items() if len(others) > 1)
