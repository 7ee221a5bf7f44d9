"""KeystoreService: what is known of the data keys, and making new ones. No key material passes here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from qekm.api.consent import Consents
from qekm.api.endings import Endings
from qekm.api.fields import chosen, sized, stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.keys import to_proto
from qekm.api.openings import Openings
from qekm.api.paging import Paged, cut
from qekm.api.proofs import Proofs
from qekm.api.requests import Order, Orders
from qekm.configuration.settings import Settings
from qekm.errors import BadArgument, UnknownKey
from qekm.model import Cartridge, Change, KeyState
from qekm.owners import Owners
from qekm.protection import BACKUP, BOTH, NONE, PEER
from qekm.rotating import Rotating
from qekm.v1 import keystore_pb2 as pb
from qekm.v1.keystore_pb2_grpc import KeystoreServiceServicer

_PROTECTIONS = {
    NONE: pb.PROTECTION_NONE,
    BACKUP: pb.PROTECTION_BACKUP,
    PEER: pb.PROTECTION_PEER,
    BOTH: pb.PROTECTION_PEER_AND_BACKUP,
}

MOST_KEYS = 100_000  # a call
BATCH = 64  # keys a commit: 1 ms in which no drive is served


class Uses(Protocol):
    """What is asked of the store, from a thread."""

    def cartridges_page(
        self, after_id: int, limit: int, *, volser: str = "", alias: str = "", newest_first: bool = False
    ) -> list[tuple[int, Cartridge]]:
        """Return uses of keys, each with its number."""

    def put_aside(self) -> list[str]:
        """Return the names of the stores that a restore has put aside."""


class KeystoreServicer(Openings, Endings, KeystoreServiceServicer):
    """Thin: questions to the owner, and the batches of GenerateKeys."""

    def __init__(
        self,
        owners: Owners,
        uses: Uses,
        journal: Journal,
        settings: Settings,
        proofs: Proofs,
        consents: Consents,
        rotating: Rotating,
        now_us: Callable[[], int],
    ) -> None:
        """Take the owners, the store, and what opens slots for people and asks a second one."""
        self._owners, self._opened = owners, owners.opened
        self._keystore, self._allocator = owners.keystore, owners.allocator
        self._proofs, self._rotating, self._now_us = proofs, rotating, now_us
        self._uses, self._backups, self._put_aside = uses, owners.backups, uses.put_aside
        self._journal, self._orders, self._consents = journal, Orders(owners.settings, now_us), consents
        self._settings = settings
        self._making = asyncio.Lock()  # so that the same request twice at once makes one batch

    async def GetKeystore(self, request: pb.GetKeystoreRequest, context: Any) -> pb.GetKeystoreResponse:
        """Return the keystore's identity, protection and counts."""
        counts = self._keystore.counts()
        return pb.GetKeystoreResponse(
            estate_id=self._owners.estate_id,
            epoch=self._owners.estate.epoch,
            protection=_PROTECTIONS[self._owners.protection.place],
            slot=self._settings["keystore.slot"],
            counts=[
                pb.KeyCount(state=pb.KeyState.ValueType(state), count=counts[state])
                for state in KeyState
                if counts[state]
            ],
            two_person=self._owners.approvals.two_person,
            read_only=self._keystore.read_only,
            record_version=self._keystore.record_version,
            rotating_count=self._keystore.stale(),
            drill_time=stamp(self._backups.drill_us),
        )

    async def ListKeys(self, request: pb.ListKeysRequest, context: Any) -> pb.ListKeysResponse:
        """List keys by alias; UnknownGroup."""
        page = Paged.of(request)
        state = chosen(KeyState, request.state, "state") if request.state else None
        if request.group:
            self._allocator.find(request.group)
        found = self._keystore.page(page.text, page.size + 1, request.group, state)
        rows, token = cut(page, found, lambda key: key.alias)
        return pb.ListKeysResponse(keys=map(to_proto, rows), next_page_token=token)

    async def GetKey(self, request: pb.GetKeyRequest, context: Any) -> pb.GetKeyResponse:
        """Return one key by alias or DKi; UnknownKey, BadArgument."""
        if request.WhichOneof("name") == "dki":
            key = self._keystore.by_dki(sized(request.dki, (12,), "dki"))
            if key is None:
                raise UnknownKey("no key has this DKi", dki=request.dki.hex())
        else:
            key = self._keystore.by_alias(request.alias)
        return pb.GetKeyResponse(key=to_proto(key))

    async def ListCartridges(
        self, request: pb.ListCartridgesRequest, context: Any
    ) -> pb.ListCartridgesResponse:
        """List uses of keys; UnknownKey."""
        page = Paged.of(request)
        alias = self._keystore.by_alias(request.alias).alias if request.alias else ""
        found = await asyncio.to_thread(
            self._uses.cartridges_page,
            page.number,
            page.size + 1,
            volser=request.volser,
            alias=alias,
            newest_first=request.newest_first,
        )
        rows, token = cut(page, found, lambda row: row[0])
        return pb.ListCartridgesResponse(cartridges=[_used(use) for _, use in rows], next_page_token=token)

    async def GenerateKeys(
        self, request: pb.GenerateKeysRequest, context: Any
    ) -> AsyncIterator[pb.GenerateKeysResponse]:
        """Make keys in small commits; what an answer counts is on disk. KeystoreLocked, UnknownGroup, …

        With a request id, a call that was cut off goes on where it stopped; one that was done is only told.
        """
        if not 1 <= request.count <= MOST_KEYS:
            raise BadArgument(
                f"count is {request.count}; a call makes 1 to {MOST_KEYS:,} keys", field="count"
            )
        self._opened.check(caller().actor, "GenerateKeys")
        async with self._making:  # a group that is found below cannot go before it has keys
            group = self._allocator.find(request.group) if request.group else self._allocator.default()
            order = self._orders.take(request.request_id, request.count, group.name)
            while order.done < order.total:
                order = await self._make(order, min(BATCH, order.total - order.done))
                if order.done < order.total:
                    yield pb.GenerateKeysResponse(done=order.done, total=order.total)
        yield pb.GenerateKeysResponse(
            done=order.done, total=order.total, first_alias=order.first_alias, last_alias=order.last_alias
        )

    async def _make(self, order: Order, count: int) -> Order:
        """Make one batch durable and return the order as it then stands."""
        keys = self._keystore.generate(count, order.group)
        order = order.grown(count, keys[0].alias, keys[-1].alias)
        changes: list[Change] = [*keys, *self._orders.put(order)]
        what = f"{count} keys for group {order.group}: {keys[0].alias} to {keys[-1].alias}"
        await self._journal.commit("GenerateKeys", changes, alias=keys[0].alias, message=what)
        return order


def _used(use: Cartridge) -> pb.Cartridge:
    return pb.Cartridge(
        volser=use.volser,
        alias=use.alias,
        drive_serial=use.drive_serial,
        drive_wwnn=use.drive_wwnn,
        write_time=stamp(use.write_time_us),
    )
