"""SharingService, the part that takes keys in: batches that are on disk before the next is looked at."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from qekm.api.fields import one_line
from qekm.api.guard import caller
from qekm.api.journal import Commits, Journal
from qekm.api.pairs import OwnPairs
from qekm.errors import BadArgument, BadFile, TooMany
from qekm.failpoints import failpoint
from qekm.interchange.cms import MAX_FILE
from qekm.interchange.parcel import MAX_KEYS
from qekm.opened import Opened
from qekm.secret import Secret
from qekm.sharing import BATCH, GROUP, Fate, Importing, Offer
from qekm.v1 import sharing_pb2 as pb

_MOST_TEXT = 524_288  # characters of reasons in a report: after these, what became of a key must do

MOST_AT_ONCE = 2  # imports: each may hold a file of MAX_FILE bytes


class Imports:
    """Thin: the conversation decides, and what was cut off is done by doing it again."""

    _importing: Importing
    _opened: Opened
    _pairs: OwnPairs
    _store: Commits
    _journal: Journal
    _taking = 0  # imports under way

    async def ImportKeys(
        self, request_iterator: AsyncIterator[pb.ImportKeysRequest], context: Any
    ) -> pb.ImportKeysResponse:
        """Take keys in; KeystoreLocked, ReadOnly, BadArgument, BadFile, BadCertificate, TooMany.

        A call without any key asks whether one may, and leaves no record. A call has its client's deadline,
        else the guard's: many keys take minutes.
        """
        actor = caller().actor
        self._opened.check(actor, "ImportKeys")
        first = await anext(request_iterator, None)
        if first is None:
            raise BadArgument("nothing was sent", field="keys")
        group, source = first.group or GROUP, one_line(first.source, "source") or "no file named"
        self._importing.check(group)
        if self._taking >= MOST_AT_ONCE:
            raise TooMany(f"{MOST_AT_ONCE} imports are under way", limit=str(MOST_AT_ONCE))
        self._taking += 1
        try:
            return await self._receive(_all(first, request_iterator), group, actor, source)
        finally:
            self._taking -= 1

    async def _receive(
        self, parts: AsyncIterator[pb.ImportKeysRequest], group: str, actor: str, source: str
    ) -> pb.ImportKeysResponse:
        """Take all parts of an import in, and report."""
        data, report = bytearray(), _Report()
        async for part in parts:
            if (part.data and report.count) or (part.keys and (data or part.data)):
                raise BadArgument("a file and keys in clear do not come in one call", field="keys")
            data += part.data
            if len(data) > MAX_FILE:
                raise BadFile(f"the file has over {MAX_FILE:,} bytes, more than any of ours")
            if report.count + len(part.keys) > MAX_KEYS:
                raise TooMany(f"an import has at most {MAX_KEYS:,} keys", limit=str(MAX_KEYS))
            await self._take(list(map(_offer, part.keys)), group, actor, source, report)
        if data:
            pairs = await self._pairs.get("ImportKeys")
            offers, partner = await asyncio.to_thread(self._importing.unseal, bytes(data), pairs)
            report.response.sender, source = partner.name, f"{source}, signed by partner {partner.name}"
            await self._take(offers, group, actor, source, report)
        if report.count:
            told = f"{source}, to group {group}: {report.told}"
            await self._journal.commit("ImportKeys", (), message=told)
        return report.response

    async def _take(
        self, offers: Sequence[Offer], group: str, actor: str, source: str, report: _Report
    ) -> None:
        """Take offers in small commits, between which drives are served."""
        for start in range(0, len(offers), BATCH):
            batch = offers[start : start + BATCH]
            failpoint("import.before")
            changes, fates = self._importing.take_in(batch, group, actor, source)
            for offer in batch:
                offer.material.wipe()
            # Nothing is awaited between the two: keys that are in memory are on their way to the disk.
            await (self._store.commit(changes) if changes else asyncio.sleep(0))
            report.add(fates)


class _Report:
    """What became of each key so far, as the message that tells it."""

    def __init__(self) -> None:
        self.response = pb.ImportKeysResponse()
        self.count = 0
        self._outcomes: Counter[str] = Counter()
        self._left = _MOST_TEXT

    def add(self, fates: Sequence[Fate]) -> None:
        """Add the fates of some keys."""
        for fate in fates:
            self._left -= len(fate.message)
            outcome = pb.ImportOutcome.ValueType(fate.outcome)
            message = fate.message if self._left > 0 else ""
            self.response.keys.add(alias=fate.alias, outcome=outcome, message=message)
        self._outcomes.update(fate.outcome.name.lower() for fate in fates)
        self.count += len(fates)

    @property
    def told(self) -> str:
        """Return how many keys met which fate."""
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._outcomes.items()))


async def _all(
    first: pb.ImportKeysRequest, rest: AsyncIterator[pb.ImportKeysRequest]
) -> AsyncIterator[pb.ImportKeysRequest]:
    yield first
    async for part in rest:
        yield part


def _offer(key: pb.ClearKey) -> Offer:
    return Offer(key.alias, Secret(key.material), key.dki)
