"""Keys by alias, by DKi, by mount, and in turn: each look-up is one dictionary access."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from qekm.dkp.codes import Fault
from qekm.dkp.names import alias_to_dki, dki_to_alias, fold, is_alias
from qekm.errors import StoreDamaged, UnknownKey
from qekm.keystore.states import OF_A_MOUNT
from qekm.model import Key, KeyState
from qekm.sealing.keyring import version_of

Mount = tuple[str, bytes, str]  # drive serial, mount id, volser


class _Shelf:
    """The keys of one group: how many in each state, which is next."""

    __slots__ = ("counts", "own", "ready", "used")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(KeyState, 0)
        self.own = dict.fromkeys(KeyState, 0)  # of those that this server made
        # Heap of (created_seq, folded alias), own ones only; may hold keys since gone.
        self.ready: list[tuple[int, str]] = []
        self.used: OrderedDict[str, None] = OrderedDict()  # ACTIVE keys, the longest unused first


class Index:
    """All keys there are, as they are now: those that this server made, and those of its peers."""

    def __init__(self, keys: Iterable[Key], instance: bytes = b"") -> None:
        """Take the stored keys; StoreDamaged for two of one alias, or a DKi that does not fit.

        instance: the origin of the keys that are to be given out here; no other server gives those.
        """
        self.instance = instance
        self._keys: dict[str, Key] = {}
        self._mounts: dict[Mount, str] = {}
        self._shelves: dict[str, _Shelf] = {}
        self._few: dict[KeyState, dict[str, None]] = {
            KeyState.GENERATED: {},
            KeyState.DESTROY_PENDING: {},
        }
        self._versions: dict[int, int] = {}  # version of the record key: how many keys are sealed under it
        self._order: list[str] | None = None
        self.created_seq = 0
        for key in sorted(keys, key=lambda key: key.assign_time_us):
            self.enter(key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def by_alias(self, alias: str) -> Key:
        """Return the key of an alias in any case; UnknownKey."""
        key = self._keys.get(fold(alias))
        if key is None:
            raise UnknownKey("no key has this alias", alias=alias)
        return key

    def by_dki(self, dki: bytes) -> Key | None:
        """Return the key that these 12 bytes on a tape name, in any case of its alias; None if there is none.

        An alias that went through a Java keystore has lost its case, which the tape has kept.
        """
        try:
            return self._keys.get(fold(dki_to_alias(dki)))
        except Fault:
            return None

    def by_mount(self, mount: Mount) -> Key | None:
        """Return the key that was given to this mount, as long as it may be given to it again."""
        folded = self._mounts.get(mount)
        return None if folded is None else self._keys[folded]

    def is_own(self, key: Key) -> bool:
        """Tell whether this server made a key, so that its pool is here and nowhere else."""
        return key.origin == self.instance

    def has(self, alias: str) -> bool:
        """Tell whether there is a key of this alias in any case."""
        return fold(alias) in self._keys

    def few(self, state: KeyState, most: int | None = None) -> list[Key]:
        """Return the keys, or the first of them, that are DESTROY_PENDING, or own and GENERATED, in turn."""
        return [self._keys[folded] for folded in islice(self._few[state], most)]

    def versions(self) -> dict[int, int]:
        """Return how many keys are sealed under each version of the record key."""
        return {version: count for version, count in self._versions.items() if count}

    def next_ready(self, group: str) -> Key | None:
        """Return the oldest own key of a group that was never given out, without taking it."""
        shelf = self._shelves.get(group)
        while shelf is not None and shelf.ready:
            key = self._keys[shelf.ready[0][1]]
            if key.state is KeyState.READY and key.group == group:
                return key
            heapq.heappop(shelf.ready)
        return None

    def next_used(self, group: str, is_named: Callable[[str], bool]) -> Key | None:
        """Return the ACTIVE key of a group that was given out longest ago, without taking it.

        It may be one that another server made. is_named tells of an alias that a drive's entry names it: that
        key is no other drive's.
        """
        shelf = self._shelves.get(group)
        used = () if shelf is None else shelf.used
        return next((self._keys[folded] for folded in used if not is_named(folded)), None)

    def counts(self, group: str | None = None) -> dict[KeyState, int]:
        """Return how many keys are in each state, of one group or of all."""
        return _total(shelf.counts for shelf in self._of(group))

    def own_counts(self, group: str | None = None) -> dict[KeyState, int]:
        """Return the same of the keys that this server made: what is READY is its pool."""
        return _total(shelf.own for shelf in self._of(group))

    def _of(self, group: str | None) -> Iterable[_Shelf]:
        return self._shelves.values() if group is None else filter(None, [self._shelves.get(group)])

    def page(
        self, after_alias: str = "", limit: int = 100, group: str = "", state: KeyState | None = None
    ) -> list[Key]:
        """Return at most `limit` keys in alias order that follow `after_alias` and match."""
        if self._order is None:
            self._order = sorted(self._keys)
        found: list[Key] = []
        for place in range(bisect_right(self._order, fold(after_alias)), len(self._order)):
            key = self._keys[self._order[place]]
            if (not group or key.group == group) and (state is None or key.state is state):
                found.append(key)
                if len(found) == limit:
                    break
        return found

    def enter(self, key: Key) -> None:
        """Take a key that is new to memory; StoreDamaged."""
        folded = fold(key.alias)
        if folded in self._keys:
            raise StoreDamaged(f"two keys have the alias {key.alias}", alias=key.alias)
        if not is_alias(key.alias) or alias_to_dki(key.alias) != key.dki:
            raise StoreDamaged(f"the DKi of key {key.alias} does not fit its alias", alias=key.alias)
        self._keys[folded] = key
        self._order = None
        self.created_seq = max(self.created_seq, key.created_seq)
        self._shelve(folded, key)

    def put(self, new: Key) -> Key:
        """Take a key as it is now in the place of what it was, and return it."""
        folded = fold(new.alias)
        self._unshelve(folded, self._keys[folded])
        self._keys[folded] = new
        self._shelve(folded, new)
        return new

    def rebox(self, new: Key) -> Key:
        """Take a key of which only the sealed material is another; it keeps its place in every turn."""
        folded = fold(new.alias)
        self._versions[version_of(self._keys[folded].sealed)] -= 1
        self._keys[folded] = new
        self._count(new)
        return new

    def _count(self, key: Key) -> None:
        version = version_of(key.sealed)
        self._versions[version] = self._versions.get(version, 0) + 1

    def _shelve(self, folded: str, key: Key) -> None:
        state, own = key.state, key.origin == self.instance
        shelf = self._shelves.get(key.group)
        if shelf is None:
            shelf = self._shelves[key.group] = _Shelf()
        shelf.counts[state] += 1
        shelf.own[state] += own
        self._count(key)
        if state is KeyState.READY:
            if own:
                heapq.heappush(shelf.ready, (key.created_seq, folded))
        elif state is KeyState.ACTIVE:
            shelf.used[folded] = None
        elif state in self._few and (own or state is not KeyState.GENERATED):
            self._few[state][folded] = None
        if key.mount_id and state in OF_A_MOUNT:
            self._mounts[key.drive_serial, key.mount_id, key.volser] = folded

    def _unshelve(self, folded: str, key: Key) -> None:
        shelf = self._shelves[key.group]
        shelf.counts[key.state] -= 1
        shelf.own[key.state] -= key.origin == self.instance
        self._versions[version_of(key.sealed)] -= 1
        shelf.used.pop(folded, None)
        if key.state in self._few:
            self._few[key.state].pop(folded, None)
        if key.mount_id:
            mount = key.drive_serial, key.mount_id, key.volser
            if self._mounts.get(mount) == folded:
                del self._mounts[mount]


def _total(counts: Iterable[dict[KeyState, int]]) -> dict[KeyState, int]:
    total = dict.fromkeys(KeyState, 0)
    for each in counts:
        for state, count in each.items():
            total[state] += count
    return total


def never_given(key: Key) -> bool:
    """Tell whether no drive was ever given this key: it is in the pool, or kept for one drive."""
    waits = key.state in (KeyState.GENERATED, KeyState.READY)
    return waits or (key.state is KeyState.ASSIGNED and not key.assign_time_us)
