"""The owner of the data keys: it decides in memory, and whoever calls commits what is returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from qekm.dkp.names import fold
from qekm.errors import KeyInUse, UnknownKey
from qekm.keystore import versions
from qekm.keystore.index import Mount, never_given
from qekm.keystore.making import Making
from qekm.keystore.states import NEVER_USED, NEXT, after_keeping
from qekm.model import Key, KeyState
from qekm.secret import Secret

_ALL = 2**63  # beyond every sequence number
_NOBODY: Mount = ("", b"", "")


class Keystore(Making):
    """All keys of the estate; of them this server gives out those that it made."""

    _protected_seq = _ALL

    def in_state(self, state: KeyState) -> list[Key]:
        """Return all keys in a state. A pass over all keys: for the start, not for serving."""
        return [key for key in self if key.state is state]

    def open(self, key: Key) -> Secret:
        """Return a key's material, its check value verified; StoreDamaged.

        UnknownKey once it was destroyed, KeyInUse while it waits for that.
        """
        if key.state is KeyState.DESTROYED:
            raise UnknownKey("the key was destroyed", alias=key.alias)
        if key.state is KeyState.DESTROY_PENDING:
            when = datetime.fromtimestamp(key.destroy_time_us // 1_000_000, UTC)
            hint = "call that off with: qekm keys keep"
            raise KeyInUse(f"the key is to be destroyed on {when:%Y-%m-%d}", hint=hint, alias=key.alias)
        return self._ring.open_key(key)

    def take(self, key: Key) -> Key:
        """Take a key from another server, new or joined with what it was here (qekm/replication/keys.py).

        StoreDamaged for a new one whose names do not fit.
        """
        if self.has(key.alias):
            return self.put(key)
        self.enter(key)
        return key

    # Keys that are given out.

    def bound(self, created_seq: int) -> None:
        """Give out no key beyond this one before `protect` says so: it was READY when one disk was enough."""
        self._protected_seq = created_seq

    def next_ready(self, group: str) -> Key | None:
        """Return the oldest key of a group that was never given out and may be, without taking it."""
        key = super().next_ready(group)
        return key if key is None or key.created_seq <= self._protected_seq else None

    def protect(self, created_seq: int, most: int | None = None) -> list[Key]:
        """Make GENERATED keys up to this one READY: their material is in a second durable place now.

        most: how many at a time; the others at the next call. They are in the order of their making.
        """
        if self.read_only:
            return []
        self._protected_seq = max(self._protected_seq, created_seq)
        due = [key for key in self.few(KeyState.GENERATED, most) if key.created_seq <= created_seq]
        return [self._change(key, KeyState.READY) for key in due]

    def assign(self, key: Key, time_us: int, mount: Mount) -> Key:
        """Give a key to a mount; a key that is ACTIVE already stays so. KeyInUse, ReadOnly.

        Its time is later than that of the mount before, whatever the clock says: so does everybody know which
        of the two was last.
        """
        self.check_writable()
        old = self.by_alias(key.alias)
        self._check_own(old)
        state = KeyState.ACTIVE if old.state is KeyState.ACTIVE else KeyState.ASSIGNED
        return self._change(old, state, max(time_us, old.assign_time_us + 1), mount)

    def bind(self, key: Key, drive_serial: str) -> Key:
        """Take a key that no mount was given yet out of the pool, for one drive; KeyInUse for any other key.

        ASSIGNED without a time, which tells it from a key that is under way to a drive. ReadOnly.
        """
        self.check_writable()
        old = self.by_alias(key.alias)
        if not never_given(old):
            raise KeyInUse(f"key {old.alias} was given out", alias=old.alias)
        self._check_own(old)
        return self._change(old, KeyState.ASSIGNED, 0, (drive_serial, b"", ""), step=versions.moved)

    def mark(self, key: Key, state: KeyState) -> Key:
        """Move a key to another state; KeyInUse if that may not follow its present one."""
        return self._change(self.by_alias(key.alias), state)

    def move(self, aliases: Iterable[str], group: str) -> list[Key]:
        """Put never-used keys into another group, all or none; UnknownKey, KeyInUse."""
        keys = self._named(aliases)
        for key in keys:
            if key.state not in NEVER_USED:
                raise KeyInUse(f"key {key.alias} was used: it stays in its group", alias=key.alias)
        step = versions.moved
        return [self._change(key, key.state, 0, _NOBODY, group=group, step=step) for key in keys]

    # The end of a key.

    def check(self, aliases: Iterable[str], state: KeyState) -> list[Key]:
        """Return the keys of aliases, each once, if all may become so; UnknownKey, KeyInUse."""
        keys = self._named(aliases)
        for key in keys:
            _check_next(key, state)
        return keys

    def retire(self, aliases: Iterable[str], state: KeyState) -> list[Key]:
        """Make keys PROCESS_ONLY or COMPROMISED, all or none; UnknownKey, KeyInUse."""
        return self._all_to(aliases, state)

    def condemn(self, aliases: Iterable[str], due_us: int) -> list[Key]:
        """Have keys destroyed at a time, all or none; UnknownKey, KeyInUse."""
        return self._all_to(aliases, KeyState.DESTROY_PENDING, due_us)

    def keep(self, aliases: Iterable[str]) -> list[Key]:
        """Call a destruction off, all or none; UnknownKey, KeyInUse for a key that waits for none."""
        keys = self._named(aliases)
        for key in keys:
            if key.state is not KeyState.DESTROY_PENDING:
                raise KeyInUse(f"key {key.alias} is not about to be destroyed", alias=key.alias)
        return [
            self.put(
                replace(
                    key,
                    state=after_keeping(KeyState(key.former)),
                    version=versions.kept(key.version),
                    destroy_time_us=0,
                    former=0,
                )
            )
            for key in keys
        ]

    def due(self, now_us: int) -> list[Key]:
        """Return the keys whose time has come.

        None in a store that may be an old copy: their destruction may have been called off since.
        """
        if self.read_only:
            return []
        return [key for key in self.few(KeyState.DESTROY_PENDING) if key.destroy_time_us <= now_us]

    def destroy_due(self, now_us: int, most: int) -> list[Key]:
        """Destroy at most so many keys whose time has come: material and check value go, the row stays."""
        return [self.erase(key, now_us) for key in self.due(now_us)[:most]]

    def erase(self, key: Key, now_us: int) -> Key:
        """Destroy a key at once, whatever its state: for a restore that meets its tombstone."""
        tombstone = replace(key, sealed=b"", check_value=b"", destroy_time_us=now_us, former=0)
        return self.put(replace(tombstone, state=KeyState.DESTROYED, version=key.version + 1))

    def _check_own(self, key: Key) -> None:
        """Raise KeyInUse for a key of the pool of another server: it may be giving it out at this moment."""
        if key.state in NEVER_USED and not self.is_own(key):
            hint = "name a key of this server's own pool, or do it at the server that made this one"
            raise KeyInUse(f"key {key.alias} is in another server's pool", hint=hint, alias=key.alias)

    def _named(self, aliases: Iterable[str]) -> list[Key]:
        return list({fold(alias): self.by_alias(alias) for alias in aliases}.values())

    def _all_to(self, aliases: Iterable[str], state: KeyState, due_us: int = 0) -> list[Key]:
        return [self._change(key, state, due_us=due_us) for key in self.check(aliases, state)]

    def _change(
        self,
        old: Key,
        state: KeyState,
        time_us: int | None = None,
        mount: Mount | None = None,
        *,
        group: str = "",
        due_us: int = 0,
        step: Callable[[int], int] = versions.changed,
    ) -> Key:
        """Put a key into another state; what is not named stays. Built plainly: drives wait for this."""
        if state is not old.state:
            _check_next(old, state)
        drive, mount_id, volser = mount or (old.drive_serial, old.mount_id, old.volser)
        return self.put(
            Key(
                old.key_id,
                old.alias,
                old.dki,
                old.created_seq,
                old.create_time_us,
                old.epoch,
                old.sealed,
                old.check_value,
                group or old.group,
                state,
                step(old.version),
                old.assign_time_us if time_us is None else time_us,
                drive,
                volser,
                mount_id,
                due_us,
                int(old.state) if state is KeyState.DESTROY_PENDING else 0,
                old.origin,
            )
        )


def _check_next(key: Key, state: KeyState) -> None:
    # A key that is kept for a drive and was never given may end as one of the pool may; but that it is kept
    # for one is known for ever.
    kept = key.state is KeyState.ASSIGNED and never_given(key) and state is not KeyState.QUARANTINED
    if state not in NEXT[key.state] and not (kept and state in NEXT[KeyState.READY]):
        what = f"key {key.alias} is {key.state.name}, it cannot become {state.name}"
        raise KeyInUse(what, alias=key.alias)
