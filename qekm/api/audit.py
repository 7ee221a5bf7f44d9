"""AuditService: the trail over the wire, to read and to check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qekm.api.fields import stamp, time_of
from qekm.api.paging import Paged, cut
from qekm.audit import Verdict, verify_trail
from qekm.checkpoints import Checkpoints, Held
from qekm.claim import normalise_serial
from qekm.model import AuditRecord, Checkpoint
from qekm.peers import Peers
from qekm.store import Head, Link
from qekm.v1 import audit_pb2 as pb
from qekm.v1.audit_pb2_grpc import AuditServiceServicer

_PACE = 32  # links checked in a row before the thread lets go of the interpreter
_REST_S = 0.000_2


class Trail(Protocol):
    """What is asked of the store; each call from a thread."""

    def audit_head(self) -> Head:
        """Return the last link's place and hash."""

    def audit_page(
        self,
        after_sequence: int,
        limit: int,
        *,
        drive_serial: str = "",
        volser: str = "",
        since_us: int = 0,
        failed: bool = False,
        newest_first: bool = False,
    ) -> list[Link]:
        """Return links beyond a sequence that match."""

    def iterate_audit(self) -> Iterator[Link]:
        """Yield every link in order."""


class AuditServicer(AuditServiceServicer):
    """Thin: pages of records out, and the check of the whole trail in a thread of its own."""

    def __init__(
        self, trail: Trail, public_key: Ed25519PublicKey, checkpoints: Checkpoints, peers: Peers
    ) -> None:
        self._trail = trail
        self._public_key = public_key
        self._checkpoints, self._peers = checkpoints, peers
        self._checking = asyncio.Lock()  # one check at a time: it takes a core

    async def ListRecords(self, request: pb.ListRecordsRequest, context: Any) -> pb.ListRecordsResponse:
        """List records in the order they were chained, or the other way round."""
        page = Paged.of(request)
        links = await asyncio.to_thread(
            self._trail.audit_page,
            page.number,
            page.size + 1,
            drive_serial=normalise_serial(request.drive_serial),
            volser=request.volser,
            since_us=time_of(request.since, "since") if request.HasField("since") else 0,
            failed=request.failed,
            newest_first=request.newest_first,
        )
        rows, token = cut(page, links, lambda link: link.sequence)
        records = (record_of(link.sequence, link.record) for link in rows)
        return pb.ListRecordsResponse(records=records, next_page_token=token)

    async def VerifyTrail(
        self, request: pb.VerifyTrailRequest, context: Any
    ) -> AsyncGenerator[pb.VerifyTrailResponse, None]:
        """Check every link and signature that is there now; the last answer has the verdict."""
        async with self._checking:
            head = await asyncio.to_thread(self._trail.audit_head)
            told: asyncio.Queue[int] = asyncio.Queue()
            own = self._checkpoints.own
            held = Held([own] if own else [], self._public_key)
            check = _Check(self._trail, self._public_key, held, head, told)
            verdict = asyncio.ensure_future(asyncio.to_thread(check.run))
            verdict.add_done_callback(lambda _: told.put_nowait(-1))
            try:
                while (checked := await told.get()) >= 0:
                    yield pb.VerifyTrailResponse(checked=checked, total=head.sequence)
                yield _judged(await verdict, head, self._public_key)
            finally:
                check.stopped = True

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: Any
    ) -> pb.ListCheckpointsResponse:
        """List how far the trails of all servers were, for whoever holds one of them against it."""
        names = {peer.instance: peer.name for peer in self._peers}
        told = (_told(each, names.get(each.instance, "")) for each in self._checkpoints)
        return pb.ListCheckpointsResponse(checkpoints=told)


class _Check:
    """One pass over the trail up to a head, in a thread; `told` gets how far it is."""

    def __init__(
        self, trail: Trail, public_key: Ed25519PublicKey, held: Held, head: Head, told: asyncio.Queue[int]
    ) -> None:
        self._trail, self._public_key, self._head, self._told = trail, public_key, head, told
        self._held = held
        self._loop = asyncio.get_running_loop()
        self.stopped = False

    def run(self) -> Verdict:
        """Return the verdict; what is chained meanwhile is not looked at."""
        links = self._held.watch(self._paced(self._trail.iterate_audit()))
        return self._held.judge(verify_trail(links, self._public_key, None, self._tell))

    def _paced(self, links: Iterable[Link]) -> Iterator[Link]:
        for link in links:
            if link.sequence > self._head.sequence or self.stopped:
                return
            if link.sequence % _PACE == 0:
                time.sleep(_REST_S)  # else every turn of the event loop would wait 5 ms for the interpreter
            yield link

    def _tell(self, checked: int) -> None:
        self._loop.call_soon_threadsafe(self._told.put_nowait, checked)


def _judged(verdict: Verdict, head: Head, public_key: Ed25519PublicKey) -> pb.VerifyTrailResponse:
    """Return the last answer; a trail that ends before the head it had at the start is broken, too."""
    broken_at, reason = verdict.broken_at, verdict.reason
    if verdict.intact and (verdict.checked, verdict.head) != (head.sequence, head.hash):
        broken_at, reason = verdict.checked + 1, "the trail ends here, it went further before"
    told = pb.Verdict(
        intact=not broken_at,
        broken_at=broken_at,
        reason=reason,
        head=verdict.head,
        public_key=public_key.public_bytes_raw(),
    )
    return pb.VerifyTrailResponse(checked=verdict.checked, total=head.sequence, verdict=told)


def record_of(sequence: int, record: AuditRecord) -> pb.Record:
    """Return a record of the trail, and its place in it, as a message."""
    return pb.Record(
        sequence=sequence,
        time=stamp(record.time_us),
        event=record.event,
        outcome=pb.Outcome.ValueType(record.outcome),
        actor=record.actor,
        drive_serial=record.drive_serial,
        drive_wwnn=record.drive_wwnn,
        volser=record.volser,
        alias=record.alias,
        code=record.code,
        message=record.message,
        count=record.count,
    )


def _told(checkpoint: Checkpoint, server: str) -> pb.TrailCheckpoint:
    return pb.TrailCheckpoint(
        server=server,
        instance=checkpoint.instance,
        epoch=checkpoint.epoch,
        commit=checkpoint.commit,
        sequence=checkpoint.sequence,
        hash=checkpoint.hash,
        signature=checkpoint.signature,
        public_key=checkpoint.public_key,
        time=stamp(checkpoint.time_us),
    )
