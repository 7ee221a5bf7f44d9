"""SlotsService: the ways of opening the keystore over the wire."""

from __future__ import annotations

import contextlib
from typing import Any

from qekm.api.fields import stamp
from qekm.api.journal import Journal
from qekm.api.proofs import Proofs
from qekm.errors import BadArgument, BadConfiguration
from qekm.model import Slot
from qekm.opened import Opened
from qekm.sealing import KeySealer, PasswordSealer, Sealer, SharesSealer, TokenKey, TokenSealer, split
from qekm.sealing.shares import COUNT, THRESHOLD
from qekm.secret import Secret
from qekm.slots import Slots
from qekm.v1 import slots_pb2 as pb
from qekm.v1.slots_pb2_grpc import SlotsServiceServicer

_KINDS = {
    "password": PasswordSealer.kind,
    "key_file": KeySealer.kind,
    "shares": SharesSealer.kind,
    "pin": TokenSealer.kind,
}


class SlotsServicer(SlotsServiceServicer):
    """Thin: each call proves a slot, then has the owner change the slots."""

    def __init__(self, slots: Slots, opened: Opened, proofs: Proofs, journal: Journal) -> None:
        self._slots, self._opened, self._proofs, self._journal = slots, opened, proofs, journal

    async def ListSlots(self, request: pb.ListSlotsRequest, context: Any) -> pb.ListSlotsResponse:
        """List the slots by name."""
        return pb.ListSlotsResponse(slots=map(_to_proto, self._slots))

    async def CreateSlot(self, request: pb.CreateSlotRequest, context: Any) -> pb.CreateSlotResponse:
        """Add a slot; SlotExists, TooMany, BadPassword, BadFile, TokenAway, and as Proofs.open."""
        kind = _KINDS.get(request.WhichOneof("means") or "")
        if kind is None:
            raise BadArgument("nothing was given that shall open the new slot", field="means")
        name = request.name or kind
        self._slots.check_new(name)
        opened, root = await self._proofs.open("CreateSlot", request.proof)
        with root:
            place = self._proofs.place

            def make() -> tuple[Slot, list[str]]:
                """Return the slot, and the shares if it is opened by new ones."""
                sealer, mnemonics = _sealer(request, place)
                return self._slots.made(name, sealer, root), mnemonics

            slot, mnemonics = await self._proofs.work(make)
        self._slots.add(slot)
        what = f"slot {name} of kind {kind}, opened with slot {opened.name}"
        await self._journal.commit("CreateSlot", [slot], message=what)
        return pb.CreateSlotResponse(slot=_to_proto(slot), mnemonics=mnemonics)

    async def DeleteSlot(self, request: pb.DeleteSlotRequest, context: Any) -> pb.DeleteSlotResponse:
        """Remove a slot; LastSlot, UnknownSlot, and as Proofs.open."""
        self._slots.check_removal(request.name)
        opened, root = await self._proofs.open("DeleteSlot", request.proof, but=request.name)
        root.wipe()
        removal = self._slots.remove(request.name)
        self._opened.close_all()
        what = f"slot {request.name}, opened with slot {opened.name}"
        await self._journal.commit("DeleteSlot", [removal], message=what)
        return pb.DeleteSlotResponse()

    async def TestSlot(self, request: pb.TestSlotRequest, context: Any) -> pb.TestSlotResponse:
        """Open a slot and change nothing; UnknownSlot, and as Proofs.open."""
        opened, root = await self._proofs.open("TestSlot", request.proof, name=request.name)
        root.wipe()
        await self._journal.commit("TestSlot", (), message=f"slot {opened.name}")
        return pb.TestSlotResponse(slot=_to_proto(opened))

    async def UpdatePassword(
        self, request: pb.UpdatePasswordRequest, context: Any
    ) -> pb.UpdatePasswordResponse:
        """Set the password anew; BadPassword, UnknownSlot, and as Proofs.open."""
        opened, root = await self._proofs.open("UpdatePassword", request.proof)
        with root:
            name = self._slots.password(opened)
            sealer = PasswordSealer(Secret(request.password))
            slot = await self._proofs.work(lambda: self._slots.made(name, sealer, root))
        self._slots.replace(slot)
        self._opened.close_all()
        what = f"slot {name}, opened with slot {opened.name}"
        await self._journal.commit("UpdatePassword", [slot], message=what)
        return pb.UpdatePasswordResponse(slot=_to_proto(slot))


def _sealer(request: pb.CreateSlotRequest, place: TokenKey) -> tuple[Sealer, list[str]]:
    """Return what shall open a new slot, and the shares if it is opened by new ones."""
    match request.WhichOneof("means"):
        case "password":
            return PasswordSealer(Secret(request.password)), []
        case "key_file":
            return KeySealer(Secret(request.key_file)), []
        case "shares":
            new = request.shares
            mnemonics = split(new.threshold or THRESHOLD, new.count or COUNT)
            return SharesSealer(mnemonics), mnemonics
        case _:
            token = TokenSealer(place, Secret(request.pin))
            # Why the key could not be made, if not because it is there, is told when it is used.
            with contextlib.suppress(BadConfiguration):
                token.create()
            return token, []


def _to_proto(slot: Slot) -> pb.Slot:
    return pb.Slot(name=slot.name, kind=slot.kind, create_time=stamp(slot.create_time_us))
