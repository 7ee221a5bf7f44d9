"""Own the key groups and choose the key that a drive gets for writing. Memory only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from qekm.errors import (
    BadArgument,
    GroupExists,
    GroupInUse,
    KeyInUse,
    KeyNotAllowed,
    PoolEmpty,
    QekmError,
    UnknownGroup,
    UnknownKey,
)
from qekm.keystore import Keystore, never_given
from qekm.model import Change, Drive, Group, Key, KeyState, OnExhaustion, Removal

POOL = 1_024  # keys of a full pool, as many as the original made at its installation
LOW_WATER = 0.2  # of a pool still unused when more is made: 80 % are used
MAX_NAME = 64
_ARCHIVED = frozenset(
    {KeyState.PROCESS_ONLY, KeyState.COMPROMISED, KeyState.DESTROY_PENDING, KeyState.DESTROYED}
)
# A key named in a drive's entry is given to mount after mount: that is what its administrator asked for.
_SHAREABLE = frozenset({KeyState.READY, KeyState.ASSIGNED, KeyState.ACTIVE, KeyState.SUSPECT})


class Allocator:
    """The groups by name; one is the default.

    Servers that changed the mark apart may leave several with it, or none: then it is the first of those by
    name, or the first of all. So do all servers agree, and no row need be written for that.
    """

    def __init__(self, groups: Iterable[Group], keystore: Keystore, now_us: Callable[[], int]) -> None:
        self._groups = {group.name: group for group in groups}
        self._default = self._marked()
        self._keystore, self._now_us = keystore, now_us
        self._preferred: tuple[str, ...] = ()

    def prefer(self, names: Iterable[str]) -> None:
        """Try these groups, in this order, before the default one; one that does not exist is passed over."""
        self._preferred = tuple(name for name in names if name)

    def knows(self, name: str) -> bool:
        """Tell whether there is a group of this name."""
        return name in self._groups

    def find(self, name: str) -> Group:
        """Return a group; UnknownGroup."""
        group = self._groups.get(name)
        if group is None:
            raise UnknownGroup(f"there is no group {name!r}", group=name)
        return group

    def default(self) -> Group:
        """Return the default group; UnknownGroup before there is one."""
        if not self._default:
            raise UnknownGroup("there is no default group", group="")
        return self._groups[self._default]

    def page(self, after_name: str = "", limit: int = 100) -> list[Group]:
        """Return at most `limit` groups in order of their names that follow `after_name`."""
        return [self._groups[name] for name in sorted(self._groups) if name > after_name][:limit]

    def create(self, name: str, on_exhaustion: OnExhaustion, is_default: bool = False) -> list[Change]:
        """Make an empty group, first in what is returned; GroupExists, BadArgument."""
        check_name(name)
        if name in self._groups:
            raise GroupExists(f"there is a group {name!r} already", group=name)
        group = Group(name, on_exhaustion, is_default or not self._groups, self._now_us())
        return self._take(group)

    def update(
        self, name: str, on_exhaustion: OnExhaustion | None = None, is_default: bool | None = None
    ) -> list[Change]:
        """Change a group's policy or make it the default; the group first in what is returned. UnknownGroup,
        GroupInUse.
        """
        group = self.find(name)
        if is_default is False and group.is_default:
            raise GroupInUse("one group is the default: make another one the default instead", group=name)
        return self._take(
            replace(
                group,
                on_exhaustion=on_exhaustion or group.on_exhaustion,
                is_default=bool(is_default) or group.is_default,
            )
        )

    def delete(self, name: str, in_use: bool = False) -> list[Change]:
        """Remove a group that is nobody's; GroupInUse. `in_use` tells that a drive's entry names it."""
        group = self.find(name)
        if group.is_default or name == self._default:
            raise GroupInUse(f"group {name!r} is the default", group=name)
        if name in self._preferred:
            raise GroupInUse(f"group {name!r} is drive.default.alias1 or drive.default.alias2", group=name)
        if in_use:
            raise GroupInUse(f"group {name!r} is in a drive's entry", group=name)
        if any(self._keystore.counts(name).values()):
            raise GroupInUse(f"group {name!r} holds keys", group=name)
        del self._groups[name]
        return [Removal(Group, name)]

    def move(self, aliases: Iterable[str], name: str) -> list[Change]:
        """Put never-used keys into a group, all or none; UnknownGroup, UnknownKey, KeyInUse."""
        self.find(name)
        return [*self._keystore.move(aliases, name)]

    def counts(self, name: str) -> tuple[int, int]:
        """Return how many keys a group holds and how many of them are left to give out here."""
        return sum(self._keystore.counts(name).values()), self._keystore.own_counts(name)[KeyState.READY]

    def is_others(self, name: str) -> bool:
        """Tell whether there are keys of a group to write with, but none that this server ever made."""
        return not any(self._keystore.own_counts(name).values()) and not self.is_archive(name)

    def is_archive(self, name: str) -> bool:
        """Tell whether nothing new is written with any key of a group, as with those from elsewhere."""
        counts = self._keystore.counts(name)
        return not any(count for state, count in counts.items() if state not in _ARCHIVED)

    def check_own(self, alias: str, drive_serial: str) -> Key:
        """Return the key that a drive's entry may name as its own; UnknownKey.

        KeyInUse for one with which nothing new is written, and for one that another drive was given.
        """
        key = self._keystore.by_alias(alias)
        if key.state not in _SHAREABLE:
            raise KeyInUse(
                f"key {key.alias} is {key.state.name}: nothing new is written with it", alias=key.alias
            )
        if key.drive_serial not in ("", drive_serial) and not never_given(key):
            raise KeyInUse(f"key {key.alias} was given to drive {key.drive_serial}", alias=key.alias)
        return key

    def check_bind(self, key: Key, drive_serial: str) -> None:
        """Raise what `bind` would raise for a key that the drive may have: ReadOnly."""
        if not _is_bound(key, drive_serial):
            self._keystore.check_writable()

    def bind(self, drive: Drive) -> list[Change]:
        """Take the key that a drive's entry names out of the pool, if it is there; as check_own, ReadOnly."""
        if not drive.alias:
            return []
        key = self.check_own(drive.alias, drive.serial)
        return [] if _is_bound(key, drive.serial) else [self._keystore.bind(key, drive.serial)]

    def choose(self, drive: Drive | None, is_named: Callable[[str], bool] = lambda _alias: False) -> Key:
        """Return the key that a drive's next mount shall get, without taking it.

        The drive's own key, else one of its group; for an entry that names neither, one of the groups to be
        preferred, else of the default one. Within a group the oldest that was never used, and used ones in
        turn only where the group's policy says so, but none that some entry names (is_named). Drive None is
        one that has no entry yet. UnknownGroup, UnknownKey (also for a group without any key), KeyNotAllowed,
        KeyInUse, PoolEmpty; of several groups the error of the first.
        """
        if drive is not None and drive.alias:
            return self._own_key(drive)
        if drive is not None and drive.group:
            return self._choose_of(self.find(drive.group), drive, is_named)
        failure: QekmError | None = None
        for group in self._candidates():
            try:
                return self._choose_of(group, drive, is_named)
            except (KeyNotAllowed, UnknownKey, PoolEmpty) as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _candidates(self) -> list[Group]:
        """Return the groups to be tried for a drive that has none, in order; UnknownGroup for none at all."""
        names = dict.fromkeys((*self._preferred, self.default().name))
        return [self._groups[name] for name in names if name in self._groups]

    def _choose_of(self, group: Group, drive: Drive | None, is_named: Callable[[str], bool]) -> Key:
        check_allowed(drive, group.name)
        key = self._keystore.next_ready(group.name)
        if key is None and group.on_exhaustion is OnExhaustion.REUSE:
            key = self._keystore.next_used(group.name, is_named)
        if key is not None:
            return key
        if not any(self._keystore.counts(group.name).values()):
            raise UnknownKey(f"group {group.name!r} holds no key", group=group.name)
        raise PoolEmpty(f"every key of group {group.name!r} was used", group=group.name)

    def needs_refill(self, name: str) -> int:
        """Return how many keys to make now: what a REFILL group lacks at its low-water mark, else 0.

        Its pool is as many keys as this server made for it, or as there are of other servers, who are to be
        stood in for, at most POOL; a group that never held a key stays empty.
        """
        if self.find(name).on_exhaustion is not OnExhaustion.REFILL:
            return 0
        if self._keystore.read_only:
            return 0
        own = self._keystore.own_counts(name)
        coming = own[KeyState.READY] + own[KeyState.GENERATED]  # these wait for a backup
        made = sum(own.values())
        pool = min(max(made, sum(self._keystore.counts(name).values()) - made), POOL)
        return pool - coming if coming <= pool * LOW_WATER else 0

    def pool(self, name: str) -> int:
        """Return how many keys of this server are ready when a group's pool is full; UnknownGroup."""
        return min(sum(self._keystore.own_counts(self.find(name).name).values()), POOL)

    def is_low(self, name: str, is_named: Callable[[str], bool] = lambda _name: True) -> bool:
        """Tell whether a group that gives each key once has used 80 % of its pool, and no more are READY.

        An archive is not low: no drive is to be given its keys (is_named: a drive's entry names the group).
        """
        group, own = self.find(name), self._keystore.own_counts(name)
        pool, ready = self.pool(name), own[KeyState.READY]
        if group.on_exhaustion is OnExhaustion.REUSE or not pool or ready > pool * LOW_WATER:
            return False
        wanted = group.is_default or name in self._preferred or is_named(name)
        return wanted or not self.is_archive(name)

    # What other servers have changed: nothing of it is refused.

    def take(self, group: Group) -> None:
        """Take a group as another server has it; BadArgument for a name that no group has."""
        check_name(group.name)
        self._groups[group.name] = group
        self._default = self._marked()

    def drop(self, name: str) -> Group | None:
        """Forget a group that another server removed; return it, and keep it, where it holds keys here."""
        if any(self._keystore.counts(name).values()):
            return self._groups.get(name)
        self._groups.pop(name, None)
        self._default = self._marked()
        return None

    def expect(self, name: str) -> list[Group]:
        """Return a group made for keys of another server that are here before their group is."""
        if name in self._groups:
            return []
        self.take(Group(name, OnExhaustion.REFUSE, False, 0))
        return [self._groups[name]]

    def _own_key(self, drive: Drive) -> Key:
        key = self.check_own(drive.alias, drive.serial)
        check_allowed(drive, key.group)
        return key

    def _take(self, group: Group) -> list[Change]:
        """Store a group; a new default takes the mark from all others."""
        changes: list[Change] = [group]
        self._groups[group.name] = group
        if group.is_default and self._default != group.name:
            others = [each for each in self._groups.values() if each.is_default and each is not group]
            for each in others:
                self._groups[each.name] = replace(each, is_default=False)
                changes.append(self._groups[each.name])
            self._default = group.name
        return changes

    def _marked(self) -> str:
        marked = (name for name, group in self._groups.items() if group.is_default)
        return min(marked, default=min(self._groups, default=""))


def _is_bound(key: Key, drive_serial: str) -> bool:
    """Tell whether a key is in no pool any more, or kept for this very drive."""
    return not never_given(key) or (key.state is KeyState.ASSIGNED and key.drive_serial == drive_serial)


def check_name(name: str) -> None:
    """Raise BadArgument unless a group can have this name."""
    if not (1 <= len(name) <= MAX_NAME and name.isascii() and name.isprintable() and " " not in name):
        raise BadArgument(
            f"a group's name has 1 to {MAX_NAME} printable ASCII characters without spaces", field="name"
        )


def check_allowed(drive: Drive | None, group: str) -> None:
    """Raise KeyNotAllowed unless the drive's entry allows keys of this group; an empty list allows all."""
    if drive is not None and drive.allowed_groups and group not in drive.allowed_groups:
        raise KeyNotAllowed(f"the drive may not have keys of group {group!r}", group=group)
