"""Two ends of a stream that have greeted each other, and lines of a journal for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qekm.model import Cursor
from qekm.replication.conversation import Conversation, Own
from qekm.replication.messages import Batch, Tables
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import Line

TABLES: Tables = (("groups", ("name", "size")), ("drives", ("serial", "note", "colour")))
ROOT = Secret(bytes(32))


def ring() -> KeyRing:
    return KeyRing(ROOT, b"estate")


def own(name: str, tables: Tables = TABLES) -> Own:
    return Own(name, name.encode() * 8, 1, "0.4.0", "0004", tables, lambda table, column: f"no {column}")


def begun(
    name: str, *, calling: bool, received: int = 0, of: str = "", tables: Tables = TABLES, nonce: bytes = b""
) -> Conversation:
    cursor = Cursor(of, of.encode() * 8, received)
    return Conversation(own(name, tables), ring(), nonce or name.encode() * 32, cursor, calling=calling)


def pair(end: int = 100, received: int = 0, theirs: Tables = TABLES) -> tuple[Conversation, Conversation]:
    """Return two ends that have greeted each other; b has `received` of a's journal."""
    a, b = begun("a", calling=True), begun("b", calling=False, received=received, of="a", tables=theirs)
    b.greet(a.hello(), "a", end)
    a.greet(b.hello(), "b", end)
    return a, b


def line(sequence: int, origin: bytes = b"a" * 8, **changed: Any) -> Line:
    made = Line(sequence, "groups", f"g{sequence}", sequence, origin, False, (f"g{sequence}", sequence))
    return replace(made, **changed)


def lines(first: int, last: int) -> list[Line]:
    return [line(sequence) for sequence in range(first, last + 1)]


def taken(to: Conversation, batch: Batch) -> list[Line]:
    to.verify(batch)
    return to.take(batch, {})
