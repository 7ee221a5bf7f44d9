"""Own when a new key may be used: where else it must be before that, and up to which key it is. Memory only.

A key that one disk has is lost with it. What was once in a second place stays usable when that place is away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qekm.keystore import Keystore
from qekm.model import Change, Setting

NAME = "keystore.protected"  # a setting of the store: up to which key of an instance all were protected
AUTO, PEER, BACKUP, BOTH, NONE = "auto", "peer", "backup", "peer+backup", "none"
_ALL = 2**63  # beyond every sequence number


class Protection:
    """Makes keys READY that are where `keystore.protect` wants them."""

    def __init__(
        self,
        keystore: Keystore,
        asked: str,
        in_backups: int,
        is_joined: Callable[[], bool] = lambda: False,
        instance: bytes = b"",
        remembered: str = "",
    ) -> None:
        """Give out no key that is nowhere else: it may have become READY when one disk was enough.

        asked: the property. in_backups: up to which key all are in a backup that counts. is_joined: whether
        there is a peer. remembered: the text of the setting NAME.
        """
        self._keystore, self._asked, self._is_joined = keystore, asked, is_joined
        self.instance = instance
        self._in_backups, self._at_peer = in_backups, 0
        self._is_substituted = False
        if self.place != NONE:
            keystore.bound(max(in_backups, _recall(remembered, instance)))

    @property
    def place(self) -> str:
        """Return where else a key must be: peer, backup, peer+backup, or none."""
        if self._asked != AUTO:
            return self._asked
        return PEER if self._is_joined() else BACKUP

    @property
    def waits_for_peer(self) -> bool:
        """Tell whether a new key must be at a peer."""
        return self.place in (PEER, BOTH)

    @property
    def limit(self) -> int:
        """Return up to which key all may be used."""
        place = self.place
        if place == NONE:
            return _ALL
        if place == BACKUP or self._is_substituted:
            return self._in_backups
        return self._at_peer if place == PEER else min(self._at_peer, self._in_backups)

    def backed_up(self, created_seq: int, most: int | None = None) -> list[Change]:
        """Note that a backup that counts has all keys up to this one; return those that are READY by that."""
        self._in_backups = max(self._in_backups, created_seq)
        return self.due(most)

    def held(self, created_seq: int) -> None:
        """Note that a peer has all keys up to this one on its disk; `due` makes them READY."""
        self._at_peer = max(self._at_peer, created_seq)

    def due(self, most: int | None = None) -> list[Change]:
        """Make keys READY that may be used; they are to be committed. Empty if there are none.

        most: how many at a time; the others at the next call.
        """
        limit = self.limit
        ready = self._keystore.protect(limit, most)
        if not ready or not self.waits_for_peer:  # of backups the store knows what is in them
            return [*ready]
        return [*ready, Setting(NAME, f"{self.instance.hex()} {limit}")]

    def substitute(self, is_away: bool, is_low: bool) -> bool:
        """Have backups count where peers should; tell whether that is new, or over.

        is_away: no peer was there for long. is_low: few keys are left. It is over when a peer is back.
        """
        before = self._is_substituted
        wanted = is_away and (before or is_low)
        self._is_substituted = wanted and self.waits_for_peer
        return self._is_substituted is not before

    @property
    def is_substituted(self) -> bool:
        """Tell whether a backup counts for a key that should be at a peer."""
        return self._is_substituted

    def lines(self) -> Sequence[str]:
        """Return what a status says: where keys are protected less than was asked for."""
        if self._is_substituted:
            return (f"no peer is there: new keys are in backups only (keystore.protect={self._asked})",)
        if self.waits_for_peer and not self._is_joined():
            return (f"keystore.protect={self._asked}, and no peer is joined: new keys are not given out",)
        return ()


def _recall(text: str, instance: bytes) -> int:
    """Return what a setting remembers of this instance; 0 for what it says of another, in another life."""
    whose, _, number = text.rpartition(" ")
    return int(number) if number.isdecimal() and whose == instance.hex() else 0
