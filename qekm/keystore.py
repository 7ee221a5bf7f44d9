"""Own the data keys: find, open, make, and change their state. Memory only: what changes is returned.

Every look-up is one dictionary access, however many keys there are: the indexes below follow each change.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable

from qekm.dkp.names import MAX_COUNTER, alias_to_dki, fold, generated_alias, is_alias
from qekm.errors import KeyInUse, StoreDamaged, UnknownKey
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret

KEY_LENGTH = 32  # bytes, AES-256
# What may follow a state (keys.md has the picture). No way leads back to READY: that is what keeps a key from
# being given out twice.
_NEXT: dict[KeyState, frozenset[KeyState]] = {
    KeyState.GENERATED: frozenset({KeyState.READY, KeyState.QUARANTINED}),
    KeyState.READY: frozenset({KeyState.ASSIGNED, KeyState.QUARANTINED}),
    KeyState.ASSIGNED: frozenset({KeyState.ACTIVE, KeyState.SUSPECT}),
    KeyState.ACTIVE: frozenset(),
    KeyState.SUSPECT: frozenset({KeyState.ASSIGNED, KeyState.ACTIVE}),
    KeyState.QUARANTINED: frozenset(),
    KeyState.PROCESS_ONLY: frozenset(),
    KeyState.COMPROMISED: frozenset(),
    KeyState.DESTROY_PENDING: frozenset(),
    KeyState.DESTROYED: frozenset(),
}
_NEVER_USED = frozenset({KeyState.GENERATED, KeyState.READY})
_OF_A_MOUNT = frozenset({KeyState.ASSIGNED, KeyState.ACTIVE, KeyState.SUSPECT})

Mount = tuple[str, bytes, str]  # drive serial, mount id, volser


class _Shelf:
    """The keys of one group: how many in each state, which is next."""

    __slots__ = ("counts", "ready", "used")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(KeyState, 0)
        self.ready: list[
            tuple[int, str]
        ] = []  # heap of (created_seq, folded alias); may hold keys since gone
        self.used: OrderedDict[str, None] = OrderedDict()  # ACTIVE keys, the longest unused first


class Keystore:
    """All keys of the estate, by alias (without case), by DKi and by mount."""

    def __init__(
        self,
        keys: Iterable[Key],
        ring: KeyRing,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        tag: str,
        epoch: int = 1,
    ) -> None:
        """Index the stored keys. tag: the 10 hex digits of this server and epoch in the aliases it makes."""
        self._ring, self._now_us, self._random_bytes = ring, now_us, random_bytes
        self._tag, self._epoch = tag.upper(), epoch
        self._keys: dict[str, Key] = {}
        self._dkis: dict[bytes, str] = {}
        self._mounts: dict[Mount, str] = {}
        self._shelves: dict[str, _Shelf] = {}
        self._order: list[str] | None = None
        self._created_seq = 0
        # Keys are never removed, so the highest alias there is tells where the counter stands.
        self._counter = 0
        for key in sorted(keys, key=lambda key: key.assign_time_us):
            self._enter(key)

    def __len__(self) -> int:
        return len(self._keys)

    def by_alias(self, alias: str) -> Key:
        """Return the key of an alias in any case; UnknownKey."""
        key = self._keys.get(fold(alias))
        if key is None:
            raise UnknownKey("no key has this alias", alias=alias)
        return key

    def by_dki(self, dki: bytes) -> Key | None:
        """Return the key that these 12 bytes on a tape name, None if there is none."""
        folded = self._dkis.get(dki)
        return None if folded is None else self._keys[folded]

    def by_mount(self, mount: Mount) -> Key | None:
        """Return the key that was given to this mount, as long as it may be given to it again."""
        folded = self._mounts.get(mount)
        return None if folded is None else self._keys[folded]

    def in_state(self, state: KeyState) -> list[Key]:
        """Return all keys in a state. A pass over all keys: for the start, not for serving."""
        return [key for key in self._keys.values() if key.state is state]

    def open(self, key: Key) -> Secret:
        """Return a key's material, its check value verified; StoreDamaged, or UnknownKey once destroyed."""
        if key.state is KeyState.DESTROYED:
            raise UnknownKey("the key was destroyed", alias=key.alias)
        return self._ring.open_key(key)

    def generate(self, count: int, group: str) -> list[Key]:
        """Make READY keys of a group in order of their aliases: they are in memory, and to be committed."""
        keys = [self._make(group) for _ in range(count)]
        for key in keys:
            self._enter(key)
        return keys

    def assign(self, key: Key, time_us: int, mount: Mount) -> Key:
        """Give a key to a mount; a key that is ACTIVE already stays so. KeyInUse if its state forbids it."""
        old = self._keys[fold(key.alias)]
        state = KeyState.ACTIVE if old.state is KeyState.ACTIVE else KeyState.ASSIGNED
        return self._change(old, old.group, state, time_us, mount)

    def bind(self, key: Key, drive_serial: str) -> Key:
        """Take a key that no mount was given yet out of the pool, for one drive; KeyInUse for any other key.

        ASSIGNED without a time, which tells it from a key that is under way to a drive.
        """
        old = self._keys[fold(key.alias)]
        if not never_given(old):
            raise KeyInUse(f"key {old.alias} was given out", alias=old.alias)
        return self._change(old, old.group, KeyState.ASSIGNED, 0, (drive_serial, b"", ""))

    def mark(self, key: Key, state: KeyState) -> Key:
        """Move a key to another state; KeyInUse if that may not follow its present one."""
        old = self._keys[fold(key.alias)]
        return self._change(
            old, old.group, state, old.assign_time_us, (old.drive_serial, old.mount_id, old.volser)
        )

    def move(self, aliases: Iterable[str], group: str) -> list[Key]:
        """Put never-used keys into another group, all or none; UnknownKey, KeyInUse."""
        keys = list({fold(alias): self.by_alias(alias) for alias in aliases}.values())
        for key in keys:
            if key.state not in _NEVER_USED:
                raise KeyInUse(f"key {key.alias} was used: it stays in its group", alias=key.alias)
        return [self._change(key, group, key.state, 0, ("", b"", "")) for key in keys]

    def next_ready(self, group: str) -> Key | None:
        """Return the oldest key of a group that was never given out, without taking it."""
        shelf = self._shelves.get(group)
        while shelf is not None and shelf.ready:
            key = self._keys[shelf.ready[0][1]]
            if key.state is KeyState.READY and key.group == group:
                return key
            heapq.heappop(shelf.ready)
        return None

    def next_used(self, group: str, is_named: Callable[[str], bool]) -> Key | None:
        """Return the ACTIVE key of a group that was given out longest ago, without taking it.

        is_named tells of an alias that a drive's entry names it: that key is no other drive's.
        """
        shelf = self._shelves.get(group)
        used = () if shelf is None else shelf.used
        return next((self._keys[folded] for folded in used if not is_named(folded)), None)

    def counts(self, group: str | None = None) -> dict[KeyState, int]:
        """Return how many keys are in each state, of one group or of all."""
        shelves = self._shelves.values() if group is None else filter(None, [self._shelves.get(group)])
        total = dict.fromkeys(KeyState, 0)
        for shelf in shelves:
            for state, count in shelf.counts.items():
                total[state] += count
        return total

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

    def _make(self, group: str) -> Key:
        if self._counter > MAX_COUNTER:
            self._tag, self._counter = self._random_bytes(5).hex().upper(), 0
        alias = generated_alias(self._tag, self._counter)
        self._counter += 1
        self._created_seq += 1
        key_id = self._random_bytes(16)
        with Secret(self._random_bytes(KEY_LENGTH)) as material:
            sealed = self._ring.seal_key(material, key_id, alias, self._created_seq, self._epoch)
            check_value = self._ring.check_value(material)
        return Key(
            key_id,
            alias,
            alias_to_dki(alias),
            self._created_seq,
            self._now_us(),
            self._epoch,
            sealed,
            check_value,
            group,
            KeyState.READY,
        )

    def _enter(self, key: Key) -> None:
        """Take a key that is new to memory."""
        folded = fold(key.alias)
        if folded in self._keys or key.dki in self._dkis:
            raise StoreDamaged(f"two keys have the alias {key.alias}", alias=key.alias)
        if not is_alias(key.alias) or alias_to_dki(key.alias) != key.dki:
            raise StoreDamaged(f"the DKi of key {key.alias} does not fit its alias", alias=key.alias)
        self._keys[folded] = key
        self._dkis[key.dki] = folded
        self._order = None
        self._created_seq = max(self._created_seq, key.created_seq)
        if folded.startswith(f"qkm00{self._tag.lower()}"):
            self._counter = max(self._counter, int(key.alias[-6:], 16) + 1)
        self._shelve(folded, key)

    def _change(self, old: Key, group: str, state: KeyState, time_us: int, mount: Mount) -> Key:
        folded = fold(old.alias)
        if state is not old.state and state not in _NEXT[old.state]:
            raise KeyInUse(
                f"key {old.alias} is {old.state.name}, it cannot become {state.name}", alias=old.alias
            )
        new = Key(
            old.key_id,
            old.alias,
            old.dki,
            old.created_seq,
            old.create_time_us,
            old.epoch,
            old.sealed,
            old.check_value,
            group,
            state,
            old.version + 1,
            time_us,
            mount[0],
            mount[2],
            mount[1],
        )
        self._unshelve(folded, old)
        self._keys[folded] = new
        self._shelve(folded, new)
        return new

    def _shelve(self, folded: str, key: Key) -> None:
        state = key.state
        shelf = self._shelves.get(key.group)
        if shelf is None:
            shelf = self._shelves[key.group] = _Shelf()
        shelf.counts[state] += 1
        if state is KeyState.READY:
            heapq.heappush(shelf.ready, (key.created_seq, folded))
        elif state is KeyState.ACTIVE:
            shelf.used[folded] = None
        if key.mount_id and state in _OF_A_MOUNT:
            self._mounts[key.drive_serial, key.mount_id, key.volser] = folded

    def _unshelve(self, folded: str, key: Key) -> None:
        shelf = self._shelves[key.group]
        shelf.counts[key.state] -= 1
        shelf.used.pop(folded, None)
        if key.mount_id:
            mount = key.drive_serial, key.mount_id, key.volser
            if self._mounts.get(mount) == folded:
                del self._mounts[mount]


def never_given(key: Key) -> bool:
    """Tell whether no drive was ever given this key: it is in the pool, or kept for one drive."""
    return key.state is KeyState.READY or (key.state is KeyState.ASSIGNED and not key.assign_time_us)
