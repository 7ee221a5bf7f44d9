"""What two servers may say to each other and when: both directions of one stream, without the stream. Pure.

Each side says hello, with a MAC that proves the estate's root key, and draws a nonce. Rows then go in
batches, each under a key that both nonces and the direction are in: what was sent once, in another stream, or
the other way round, verifies nowhere else. A batch says what must be there before it, so none is left out.
"""

from __future__ import annotations

import hmac
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from qekm.errors import BatchRefused, PeerRefused, QekmError
from qekm.model import Checkpoint, Cursor
from qekm.peers import LAST_EPOCH
from qekm.replication.columns import Blank, Columns, Present
from qekm.replication.messages import Acknowledgement, Batch, Hello, RecordKey, Refusal, Row, Tables, Value
from qekm.sealing import KeyRing
from qekm.sealing.seals import encoded
from qekm.store import Line
from qekm.store.shared import TABLES, is_shared
from qekm.text import as_line

WINDOW = 4  # batches that were not acknowledged yet
MOST_ROWS = 256  # a batch that is taken
PAGE_ROWS = 40  # a batch that is sent: taking it holds the drives of a receiver up for 5 ms
MOST_BYTES = 512 * 1024
_MOST_TABLES, _MOST_COLUMNS, _MOST_VERSIONS = 256, 256, 4_096
_NONCE, _INSTANCE = 32, 8
_CHECKPOINTS = TABLES[Checkpoint]
_ROW_BYTES = 64  # of a row beside its texts and bytes


@dataclass(frozen=True, slots=True)
class Own:
    """What a server says of itself."""

    name: str
    instance: bytes
    epoch: int
    version: str
    schema: str
    tables: Tables
    blank: Blank


class Conversation:
    """One stream with one peer: `hello` and `greet` first, in either order, then the rest."""

    def __init__(self, own: Own, ring: KeyRing, nonce: bytes, cursor: Cursor, *, calling: bool) -> None:
        """Begin. nonce: 32 bytes, fresh; cursor: what is on this disk of the peer's journal."""
        self._own, self._ring, self._nonce, self._cursor, self._calling = own, ring, nonce, cursor, calling
        self._places = {name: place for place, (name, _) in enumerate(own.tables)}
        self._told = frozenset(ring.versions)  # versions of the record key that the peer was told of
        self._sent, self._taken = 0, 0  # batches
        self._unacknowledged: deque[int] = deque()  # the last places of batches
        self._send_key, self._take_key = b"", b""
        self._everything_through = 0
        self.position = 0  # of our journal: what was sent
        self.acknowledged = 0  # of our journal: what the peer has on its disk
        self.received = 0  # of the peer's journal: what was taken
        self.their: Hello | None = None
        self.columns: Columns | None = None

    def hello(self) -> Hello:
        """Return the first message."""
        own, cursor = self._own, self._cursor
        keys = tuple(RecordKey(version, self._ring.wrap_record(version)) for version in sorted(self._told))
        said = Hello(
            own.name,
            own.instance,
            own.epoch,
            self._nonce,
            own.version,
            own.schema,
            own.tables,
            cursor.instance,
            cursor.received,
            keys,
        )
        return replace(said, mac=self._ring.peer_mac("hello", *said.values()))

    def greet(self, hello: Hello, identity: str, journal_end: int) -> None:
        """Take the peer's first message; identity: the name in its certificate. PeerRefused, BatchRefused.

        Who it is counts now; whether it may come is for whoever knows the estate's servers, and only then
        are its record keys adopted.
        """
        if hello.name != identity:
            raise PeerRefused(f"{identity} says that it is {as_line(hello.name, 64)}", peer=identity)
        if not self._proves(hello):
            raise PeerRefused(f"{identity} does not prove the estate's root key", peer=identity)
        if len(hello.instance) != _INSTANCE or len(hello.nonce) != _NONCE or hello.nonce == self._nonce:
            raise PeerRefused(f"{identity} says what no server says", peer=identity)
        if len(hello.tables) > _MOST_TABLES or any(len(each) > _MOST_COLUMNS for _, each in hello.tables):
            raise PeerRefused(f"{identity} names too many tables", peer=identity)
        known = hello.your_instance == self._own.instance
        if known and hello.received > journal_end:
            what = f"{identity} has more of this server's journal than this server: it may be an old copy"
            hint = "put the present store back, or: qekm-server adopt"
            raise PeerRefused(what, hint=hint, peer=identity, behind="yes")
        self.columns = Columns(self._own.tables, hello.tables, self._own.blank)
        self.their = hello
        self.position = self.acknowledged = hello.received if known else 0
        # From the start means everything, also what came from the peer: it may have lost it.
        self._everything_through = 0 if self.position else journal_end
        self.received = self._cursor.received if self._cursor.instance == hello.instance else 0
        self._derive(hello.nonce)

    def _proves(self, hello: Hello) -> bool:
        try:
            mac = self._ring.peer_mac("hello", *hello.values())
        except (struct.error, UnicodeError):
            return False
        return hmac.compare_digest(mac, hello.mac)

    def _derive(self, nonce: bytes) -> None:
        caller, called = (self._nonce, nonce) if self._calling else (nonce, self._nonce)
        keys = [self._ring.peer_mac("stream", way, caller, called) for way in ("calling", "called")]
        self._send_key, self._take_key = keys if self._calling else reversed(keys)

    def refusal(self, error: QekmError) -> Refusal:
        """Return what the peer is told at the end; whether it may give keys only where it said hello."""
        epoch = int(error.details.get("epoch", "0"))
        if not epoch or self.their is None:
            return Refusal(error.reason(), error.message)
        mac = self._ring.peer_mac("refusal", self.their.nonce, epoch, error.message)
        return Refusal(error.reason(), error.message, epoch, mac)

    def is_disowned(self, refusal: Refusal) -> bool:
        """Tell whether the peer says, and may say, that this server is not the one that has its name.

        It may without having said hello: the MAC proves the estate's root key, and our nonce is in it, so
        that it was made for this stream. Whoever can make one can also give out keys.
        """
        mac = self._ring.peer_mac("refusal", self._nonce, refusal.epoch, refusal.message)
        return 0 < refusal.epoch <= LAST_EPOCH and hmac.compare_digest(mac, refusal.mac)

    def adopt(self, keys: Iterable[RecordKey]) -> list[int]:
        """Take versions of the record key that this server lacks, and return them; BatchRefused."""
        new = [key for key in keys if key.version not in self._ring.versions]
        for key in new:
            if not 0 < key.version <= _MOST_VERSIONS:
                raise BatchRefused(f"there is no version {key.version} of the record key")
            try:
                self._ring.adopt_record(key.version, key.sealed)
            except QekmError as error:
                raise BatchRefused(error.message) from error
        return [key.version for key in new]

    # Our journal to the peer.

    @property
    def may_send(self) -> bool:
        """Tell whether the window has room for another batch."""
        return len(self._unacknowledged) < WINDOW

    def batch(self, page: Sequence[Line]) -> Batch:
        """Return the next batch, of a page of the journal beyond `position`; it may be a part of the page.

        Rows that the peer itself changed last are left out, but for how far it was once: it may not know any
        more. So are those of tables that it does not have.
        """
        assert self.their is not None
        rows: list[Row] = []
        size = 0
        for line in page[:MOST_ROWS]:
            size += _size(line)
            if size > MOST_BYTES and rows:
                break
            self.position = line.sequence
            is_news = line.origin != self.their.instance or line.table == _CHECKPOINTS
            if is_news or line.sequence <= self._everything_through:
                rows.append(self._row(line))
        self._sent += 1
        new = sorted(self._ring.versions - self._told)
        self._told |= set(new)
        keys = tuple(RecordKey(version, self._ring.wrap_record(version)) for version in new)
        after = self._unacknowledged[-1] if self._unacknowledged else self.acknowledged
        made = Batch(after, self.position, self._sent, tuple(rows), keys)
        self._unacknowledged.append(self.position)
        return replace(made, mac=_mac(self._send_key, made))

    def _row(self, line: Line) -> Row:
        place = self._places[line.table]
        return Row(line.sequence, place, line.values, line.stamp_us, line.origin, line.removed)

    def acknowledge(self, message: Acknowledgement) -> None:
        """Take note of what the peer has on its disk; BatchRefused for what was never sent."""
        if message.through not in self._unacknowledged:
            raise BatchRefused("the peer acknowledges what it was not sent")
        while self._unacknowledged and self._unacknowledged[0] <= message.through:
            self.acknowledged = self._unacknowledged.popleft()

    # The peer's journal to us.

    def verify(self, batch: Batch) -> None:
        """Refuse a batch that was altered, replayed, left out or made too large: BatchRefused."""
        try:
            mac = _mac(self._take_key, batch)
        except (struct.error, UnicodeError):
            raise BatchRefused("a batch holds what no row holds") from None
        if self.their is None or not hmac.compare_digest(mac, batch.mac):
            raise BatchRefused("a batch does not verify: it was altered, or is of another stream")
        if batch.number != self._taken + 1:
            raise BatchRefused(f"batch {batch.number} came as the {self._taken + 1}th of its stream")
        if batch.after != self.received:
            raise BatchRefused(f"a batch begins after {batch.after:,}, and {self.received:,} are here")
        if batch.through < batch.after or len(batch.rows) > MOST_ROWS:
            raise BatchRefused("a batch goes backwards, or is too large")

    def take(self, batch: Batch, present: Present) -> list[Line]:
        """Return the rows of a verified batch as ours; BatchRefused."""
        assert self.columns is not None
        last, lines = batch.after, []
        for row in batch.rows:
            if not last < row.sequence <= batch.through or len(row.origin) not in (0, _INSTANCE):
                raise BatchRefused("a row stands where the journal has none")
            last = row.sequence
            line = self.columns.line(row, present)
            if line is None:
                continue
            if not is_shared(line.table, line.key):
                raise BatchRefused("a row is a server's own", table=line.table)
            lines.append(line)
        self._taken, self.received = batch.number, batch.through
        return lines


def _mac(key: bytes, batch: Batch) -> bytes:
    values: Iterable[Value] = batch.values()
    return hmac.digest(key, encoded(values), "sha256")


def _size(line: Line) -> int:
    return _ROW_BYTES + sum(len(each) for each in line.values if isinstance(each, str | bytes))
