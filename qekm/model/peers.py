"""The nouns of an estate with several servers, and of how a row gets from one to another.

An instance is 8 random bytes, drawn when a server is made and anew with each epoch: whatever a server did in
another life, nobody takes it for what it does in this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from qekm.model.states import PeerState


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of the estate; the one that tells of it is among them."""

    name: str  # of its certificate
    address: str  # host:port of its SSL port; empty: nobody can call it
    instance: bytes  # 8 bytes; empty while it is only invited
    epoch: int
    state: PeerState
    spki_sha256: bytes  # of the key that it joined with; empty while it is only invited
    create_time_us: int  # when it was invited
    join_time_us: int  # the earlier one is called, the later one calls; 0 while it is only invited


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much of another server's journal is in this store."""

    peer: str  # name
    instance: bytes  # whose journal; another one begins at 0
    received: int  # sequence in that journal
    compare_time_us: int = 0  # when the stores were last found to be the same


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a server's store and trail are, told by itself; its peers keep it."""

    instance: bytes
    epoch: int
    commit: int
    root: bytes  # store root at that commit, 32 bytes
    sequence: int  # of the last audit record
    hash: bytes  # of that record, 32 bytes
    signature: bytes  # over the trail's head (qekm/store/chain.py)
    public_key: bytes  # of the trail, 32 bytes
    time_us: int


@dataclass(frozen=True, slots=True)
class SharedProperty:
    """A property that all servers of an estate have in common, as its file has it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A row's place in the journal: who changed it last, and when; the store gives it its sequence.

    Of two changes the one of the later stamp holds, of two at the same time the one of the greater origin.
    """

    table: str
    key: str | bytes | int
    stamp_us: int  # a hybrid logical clock's: later than every stamp that its origin had seen
    origin: bytes  # instance
    removed: bool = False
