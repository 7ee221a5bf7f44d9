"""The fake of the slots service."""

from __future__ import annotations

from typing import Any

from qekm.errors import QekmError, SlotExists, UnknownSlot
from qekm.v1 import slots_pb2

from .parts import moment

KINDS = {"password": "password", "key_file": "key-file", "shares": "shares", "pin": "pkcs11"}


class FakeSlots:
    """Slots that whatever is given opens, and what was given."""

    def __init__(self) -> None:
        self.slots = {
            name: slots_pb2.Slot(name=name, kind=name, create_time=moment())
            for name in ("key-file", "password")
        }
        self.requests: list[Any] = []
        self.refusal: QekmError | None = None

    def _take(self, request: Any) -> None:
        self.requests.append(request)
        if self.refusal:
            raise self.refusal

    def ListSlots(self, request: Any) -> Any:
        """Answer all slots."""
        return slots_pb2.ListSlotsResponse(slots=[slot for _, slot in sorted(self.slots.items())])

    def CreateSlot(self, request: Any) -> Any:
        """Add a slot; the shares are made of numbers."""
        self._take(request)
        kind = KINDS[request.WhichOneof("means")]
        name = request.name or kind
        if name in self.slots:
            raise SlotExists(f"the keystore has a slot {name}", slot=name)
        self.slots[name] = slots_pb2.Slot(name=name, kind=kind, create_time=moment(1))
        words = [f"word{number:02}" for number in range(33)]
        count = request.shares.count if kind == "shares" else 0
        mnemonics = [" ".join([f"share{number}", *words[1:]]) for number in range(1, count + 1)]
        return slots_pb2.CreateSlotResponse(slot=self.slots[name], mnemonics=mnemonics)

    def DeleteSlot(self, request: Any) -> Any:
        """Remove a slot."""
        self._take(request)
        if request.name not in self.slots:
            raise UnknownSlot("no such slot", slot=request.name)
        del self.slots[request.name]
        return slots_pb2.DeleteSlotResponse()

    def TestSlot(self, request: Any) -> Any:
        """Open a slot."""
        self._take(request)
        return slots_pb2.TestSlotResponse(slot=self.slots[request.name or "password"])

    def UpdatePassword(self, request: Any) -> Any:
        """Take a new password."""
        self._take(request)
        return slots_pb2.UpdatePasswordResponse(slot=self.slots["password"])
