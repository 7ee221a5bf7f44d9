"""SharingService, the part that gives keys out: a slot opened, two people, and a record before each key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Any

from qekm.api.consent import Consents
from qekm.api.guard import caller
from qekm.api.journal import Commits, Journal
from qekm.api.pairs import OwnPairs
from qekm.failpoints import failpoint
from qekm.interchange.parcel import SharedKey
from qekm.model import Key, Outcome, Partner
from qekm.opened import Opened
from qekm.sharing import BATCH, Exporting, Pairs
from qekm.v1 import sharing_pb2 as pb

PART = 65_536  # bytes of a file in a message


class Exports:
    """Thin: the conversation decides, and nothing leaves before its record is on disk."""

    _exporting: Exporting
    _opened: Opened
    _consents: Consents
    _pairs: OwnPairs
    _store: Commits
    _journal: Journal

    async def ExportKeys(
        self, request: pb.ExportKeysRequest, context: Any
    ) -> AsyncIterator[pb.ExportKeysResponse]:
        """Give keys out; KeystoreLocked, ApprovalNeeded, UnknownKey, UnknownGroup, UnknownPartner, KeyInUse.

        An approval is used up with the first record, whatever becomes of the call after it.
        """
        actor = caller().actor
        self._opened.check(actor, "ExportKeys")
        wanted = self._exporting.wanted(request.aliases, request.group, request.partner)
        keys = await asyncio.to_thread(self._exporting.choose, wanted)
        pairs = await self._pairs.get("ExportKeys")
        act = self._exporting.act(wanted, keys)
        consent = await self._consents.require("ExportKeys", act)
        what = consent.told(act.summary)
        await self._journal.commit("ExportKeys", consent.changes, message=what, outcome=Outcome.INTENT)
        left, outcome = 0, Outcome.FAILURE
        try:
            async with aclosing(self._answers(keys, actor, wanted.partner, pairs)) as answers:
                async for count, answer in answers:
                    left += count  # before: whoever stops listening may have them already
                    yield answer
            outcome = Outcome.SUCCESS
        finally:  # also where the client has gone
            if outcome is Outcome.FAILURE:
                what = f"{what}; ended early, {left:,} of {len(keys):,} keys left"
            await self._journal.commit("ExportKeys", (), message=what, outcome=outcome)

    async def _answers(
        self, keys: Sequence[Key], actor: str, partner: Partner | None, pairs: Pairs
    ) -> AsyncGenerator[tuple[int, pb.ExportKeysResponse], None]:
        """Yield the answers, and how many keys leave with each; all keys of a file with its first part."""
        if partner is None:
            async for opened in self._opening(keys, actor, None):
                try:
                    answer = pb.ExportKeysResponse(keys=map(_to_proto, opened))
                finally:
                    _wipe(opened)
                yield len(opened), answer
            return
        shared: list[SharedKey] = []
        try:
            async for opened in self._opening(keys, actor, partner):
                shared += opened
            data = await asyncio.to_thread(self._exporting.seal, shared, partner, pairs)
        finally:
            _wipe(shared)
        for start in range(0, len(data), PART):
            yield 0 if start else len(keys), pb.ExportKeysResponse(data=data[start : start + PART])

    async def _opening(
        self, keys: Sequence[Key], actor: str, partner: Partner | None
    ) -> AsyncIterator[list[SharedKey]]:
        """Yield the keys with their material, batch by batch, each once its records are on disk."""
        for batch in _batches(keys):
            await self._store.commit(self._exporting.records(batch, actor, partner))
            failpoint("export.before")
            yield self._exporting.open(batch)


def _batches(keys: Sequence[Key]) -> Iterator[list[Key]]:
    left = iter(keys)
    while batch := list(islice(left, BATCH)):
        yield batch


def _wipe(keys: Sequence[SharedKey]) -> None:
    for key in keys:
        key.material.wipe()


def _to_proto(key: SharedKey) -> pb.ClearKey:
    return pb.ClearKey(alias=key.alias, dki=key.dki, material=key.material.reveal())
