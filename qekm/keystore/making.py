"""New keys: made here, or taken in from elsewhere."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from qekm.dkp.names import MAX_COUNTER, alias_to_dki, fold, generated_alias, is_alias
from qekm.errors import BadArgument, KeyExists, ReadOnly
from qekm.keystore.resealing import Resealing
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret

KEY_LENGTH = 32  # bytes, AES-256


class Making(Resealing):
    """Keys that get new ones; each is in `first_state`, READY where one disk is all that protects it."""

    def __init__(
        self,
        keys: Iterable[Key],
        ring: KeyRing,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        tag: str,
        epoch: int = 1,
        first_state: KeyState = KeyState.READY,
        instance: bytes = b"",
    ) -> None:
        """Index the stored keys. tag: the 10 hex digits of this server and epoch in the aliases it makes.

        instance: of this server; only keys of this origin are given out from the pool here.
        """
        self._now_us, self._random_bytes = now_us, random_bytes
        self._tag, self._epoch, self._first_state = tag.upper(), epoch, first_state
        # Keys are never removed, so the highest alias there is tells where the counter stands.
        self._counter = 0
        self.read_only = ""
        super().__init__(keys, ring, instance)

    def freeze(self, reason: str) -> None:
        """Give no new keys from now on: the store may be an old copy. Keys are read as before."""
        self.read_only = reason

    def thaw(self, reason: str) -> None:
        """Give new keys again if this was the reason why none were given; another one holds on."""
        if self.read_only == reason:
            self.read_only = ""

    @property
    def must_wait(self) -> bool:
        """Tell whether a new key waits until it is in a second durable place."""
        return self._first_state is KeyState.GENERATED

    def generate(self, count: int, group: str) -> list[Key]:
        """Make keys of a group in order of their aliases; they are to be committed. ReadOnly."""
        self.check_writable()
        keys = [self._make(group) for _ in range(count)]
        for key in keys:
            self.enter(key)
        return keys

    def take_in(self, alias: str, material: Secret, group: str) -> Key:
        """Take a key from elsewhere, PROCESS_ONLY: we did not make it, so nothing new is written with it.

        Its id is drawn from what it is: two servers that take the same one in have one key, not two.
        KeyExists if its alias or DKi is taken, BadArgument for no alias or no AES-256 key, ReadOnly.
        """
        self.check_writable()
        self.check_new(alias, material)
        key_id = self._ring.key_id(fold(alias), material)
        key = self._sealed(key_id, alias, material, group, KeyState.PROCESS_ONLY)
        self.enter(key)
        return key

    def check_new(self, alias: str, material: Secret) -> None:
        """Raise what take_in would raise, and KeyExists with same="yes" if the very same key is there."""
        if not is_alias(alias):
            raise BadArgument("this is no alias of a key", field="alias")
        if len(material.reveal()) != KEY_LENGTH:
            raise BadArgument("this is no AES-256 key", field="material")
        there = self.by_alias(alias) if self.has(alias) else self.by_dki(alias_to_dki(alias))
        if there is None:
            return
        same = bool(there.sealed) and hmac.compare_digest(self._ring.check_value(material), there.check_value)
        if same:
            with self._ring.open_key(there) as own:
                same = hmac.compare_digest(own.reveal(), material.reveal())
        what = "this key is here already" if same else f"another key has the alias {there.alias}"
        raise KeyExists(what, alias=there.alias, same="yes" if same else "no")

    def enter(self, key: Key) -> None:
        """Take a key that is new to memory; StoreDamaged."""
        super().enter(key)
        if fold(key.alias).startswith(f"qkm00{self._tag.lower()}"):
            self._counter = max(self._counter, int(key.alias[-6:], 16) + 1)

    def _make(self, group: str) -> Key:
        if self._counter > MAX_COUNTER:
            self._tag, self._counter = self._random_bytes(5).hex().upper(), 0
        alias = generated_alias(self._tag, self._counter)
        self._counter += 1
        with Secret(self._random_bytes(KEY_LENGTH)) as material:
            return self._sealed(self._random_bytes(16), alias, material, group, self._first_state)

    def _sealed(self, key_id: bytes, alias: str, material: Secret, group: str, state: KeyState) -> Key:
        self.created_seq += 1
        sealed = self._ring.seal_key(material, key_id, alias, self.created_seq, self._epoch)
        check_value = self._ring.check_value(material)
        made = self.created_seq, self._now_us(), self._epoch
        named = key_id, alias, alias_to_dki(alias)
        return Key(*named, *made, sealed, check_value, group, state, origin=self.instance)

    def check_writable(self) -> None:
        """Raise ReadOnly while no new keys are given."""
        if self.read_only:
            raise ReadOnly(f"no new keys are given: {self.read_only}", reason=self.read_only)
