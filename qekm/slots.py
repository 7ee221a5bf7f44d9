"""The owner of the keystore's slots: each is one way of opening it, and opens it alone. Memory only.

Sealing and unsealing may take long (Argon2id: 0.2 s), so they are functions that touch no memory and can run
in a thread; what they give is taken in afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from qekm.errors import BadArgument, BadPassword, LastSlot, SlotExists, TooMany, UnknownSlot
from qekm.model import Removal, Slot
from qekm.sealing import PasswordSealer, Sealer, SharesSealer
from qekm.sealing.slot import kind_of
from qekm.secret import Secret

MOST = 16  # a wrong password is tried at every password's slot, 0.2 s each
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")


class Slots:
    """All slots there are; what changes is returned, to be committed."""

    def __init__(self, slots: Iterable[Slot], now_us: Callable[[], int]) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._now_us = now_us

    def __iter__(self) -> Iterator[Slot]:
        """Give the slots by name."""
        return iter(sorted(self._slots.values(), key=lambda slot: slot.name))

    def find(self, name: str) -> Slot:
        """Return the slot of a name; UnknownSlot."""
        slot = self._slots.get(name)
        if slot is None:
            raise UnknownSlot(f"the keystore has no slot {name!r:.40}", slot=name[:40])
        return slot

    def sealed(self, *, but: str = "") -> dict[str, bytes]:
        """Return the sealed root keys by name, for `opened`; `but`: the name of a slot to leave out."""
        return {slot.name: slot.sealed for slot in self if slot.name != but}

    def check_new(self, name: str) -> None:
        """Raise what `add` would raise: SlotExists, TooMany, BadArgument for what is no name."""
        if not _NAME.fullmatch(name):
            what = "a slot's name has 1 to 32 lower-case letters, digits, dots and hyphens"
            raise BadArgument(what, field="name")
        if name in self._slots:
            hint = "remove it first, or give the new one another name"
            raise SlotExists(f"the keystore has a slot {name}", hint=hint, slot=name)
        if len(self._slots) >= MOST:
            raise TooMany(f"a keystore has at most {MOST} slots", limit=str(MOST))

    def add(self, slot: Slot) -> Slot:
        """Take a new slot in; errors as `check_new`."""
        self.check_new(slot.name)
        self._slots[slot.name] = slot
        return slot

    def replace(self, slot: Slot) -> Slot:
        """Put a slot in the place of the one of its name, which opens nothing from then on; UnknownSlot."""
        self.find(slot.name)
        self._slots[slot.name] = slot
        return slot

    def check_removal(self, name: str) -> None:
        """Raise what `remove` would raise: UnknownSlot, LastSlot.

        Shares open the keystore, but no service starts with them: something else must be left, too.
        """
        kind = self.find(name).kind
        left = [slot for slot in self if slot.name != name]
        if not left:
            raise LastSlot(f"slot {name} is the last one: nothing could open the keystore", slot=name)
        if kind != SharesSealer.kind and all(slot.kind == SharesSealer.kind for slot in left):
            raise LastSlot(f"slot {name} is the last one that the service can start with", slot=name)

    def remove(self, name: str) -> Removal:
        """Take a slot away; errors as `check_removal`."""
        self.check_removal(name)
        del self._slots[name]
        return Removal(Slot, name)

    def password(self, opened: Slot) -> str:
        """Return the name of the slot whose password is set anew by who opened one; UnknownSlot.

        Their own, if they opened a password's; else that of the one password there is.
        """
        if opened.kind == PasswordSealer.kind:
            return opened.name
        names = [slot.name for slot in self if slot.kind == PasswordSealer.kind]
        if len(names) == 1:
            return names[0]
        if PasswordSealer.kind in names:
            return PasswordSealer.kind
        if names:
            raise UnknownSlot("there are several passwords: give the one that shall be set anew", slot="")
        hint = "add one with: qekm keystore slots add password"
        raise UnknownSlot("the keystore has no password", hint=hint, slot=PasswordSealer.kind)

    def made(self, name: str, sealer: Sealer, root: Secret) -> Slot:
        """Return a new slot, not yet taken in; takes as long as the sealer does. BadPassword, TokenAway."""
        return Slot(name, sealer.seal(root), sealer.kind, self._now_us())


def opened(sealed: Mapping[str, bytes], sealer: Sealer) -> tuple[str, Secret]:
    """Return the name of the first slot that a sealer opens, and the root key.

    UnknownSlot if none is of its kind, BadPassword, StoreDamaged, and what the sealer raises of its own.
    """
    failure: BadPassword | None = None
    for name, slot in sealed.items():
        if kind_of(slot) != sealer.kind:
            continue
        try:
            return name, sealer.unseal(slot)
        except BadPassword as error:
            failure = error
    if failure is not None:
        raise failure
    kinds = ", ".join(sorted({kind_of(slot) for slot in sealed.values()})) or "none"
    raise UnknownSlot(f"there is no slot of kind {sealer.kind}; there is {kinds}", slot=sealer.kind)
