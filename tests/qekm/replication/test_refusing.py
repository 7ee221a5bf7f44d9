"""A rogue is refused, recorded and counted; the true server then goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.errors import BatchRefused, PeerRefused
from qekm.model import Cursor, Peer
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Conversation, Own
from qekm.replication.messages import Batch, Hello, Message, Refusal, Row
from qekm.sealing import KeyRing
from qekm.secret import Secret
from tests.qekm.replication.sites import ESTATE, Site, are_same, estate, make_key, refusals, ring_of, until

Tamper = Callable[[Message], Sequence[Message]]
PEER, BATCH = PeerRefused.reason(), BatchRefused.reason()


class Once:
    """Alters the first message of a kind that is on the wire."""

    def __init__(self, kind: type[Message], alter: Callable[[Message], Sequence[Message]]) -> None:
        self._kind, self._alter, self.done = kind, alter, False

    def __call__(self, message: Message) -> Sequence[Message]:
        """Return what goes on instead."""
        if (
            self.done
            or not isinstance(message, self._kind)
            or (isinstance(message, Batch) and not message.rows)
        ):
            return [message]
        self.done = True
        return self._alter(message)


def row_changed(batch: Message, **changed: object) -> Sequence[Message]:
    """Return a batch whose first row says something else."""
    assert isinstance(batch, Batch)
    first: Row = replace(batch.rows[0], **changed)  # type: ignore[arg-type]
    return [replace(batch, rows=(first, *batch.rows[1:]))]


ALTERED: dict[str, tuple[type[Message], Tamper]] = {
    "a value": (Batch, lambda batch: row_changed(batch, values=(b"x" * 16, "other"))),
    "a stamp": (Batch, lambda batch: row_changed(batch, stamp_us=12_345)),
    "an origin": (Batch, lambda batch: row_changed(batch, origin=b"x" * 8)),
    "a removal": (Batch, lambda batch: row_changed(batch, removed=True, values=(b"x",))),
    "a batch twice": (Batch, lambda batch: [batch, batch]),
    "a batch without its rows": (Batch, lambda batch: [replace(batch, rows=())]),  # type: ignore[arg-type]
    "an epoch": (Hello, lambda hello: [replace(hello, epoch=7)]),  # type: ignore[arg-type]
    "a place in the journal": (Hello, lambda hello: [replace(hello, received=0, epoch=1, your_instance=b"")]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", ALTERED)
async def test_what_was_altered_is_refused_recorded_and_sent_anew(tmp_path: Path, what: str) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b, wire = made.sites["a"], made.sites["b"], made.wire("a", "b")
        await until(lambda: are_same(a, b) and a.links.connected)
        once = wire.tamper = Once(*ALTERED[what])
        if once._kind is Hello:
            wire.break_()
            wire.cut = False
        await a.commit(*(make_key(number, "a") for number in range(1, 20)))
        await until(lambda: once.done and a.links.refused + b.links.refused > 0)
        await until(lambda: are_same(a, b) and a.links.connected)
        wanted = PEER if once._kind is Hello else BATCH
        await until(lambda: wanted in {code for _, code in refusals(a) | refusals(b)})
        counted = [site.links.status(name) for site, name in ((a, "b"), (b, "a"))]
        assert sum(status.refused for status in counted if status) == 1
        assert len(b.store.load().keys) == 19


async def refused(site: Site, name: str, peer: Peer, ring: KeyRing | None = None, **changed: object) -> str:
    """Have a rogue call a server as the peer says, and return what it is told."""
    own = Own(peer.name, peer.instance, peer.epoch, "9", "9", tables_of_store(), blank_of_store)
    rogue = Conversation(own, ring or ring_of(), b"n" * 32, Cursor("", b"", 0), calling=True)
    told: list[Message] = []

    class Pipe:
        def __init__(self) -> None:
            self.left: list[Message] = [replace(rogue.hello(), **changed)]  # type: ignore[arg-type]

        async def send(self, message: Message) -> None:
            """Hear what the server says."""
            told.append(message)

        async def receive(self) -> Message | None:
            """Say hello."""
            return self.left.pop() if self.left else None

    with pytest.raises(PeerRefused):
        await site.links.called(name, Pipe())
    (refusal,) = told
    assert isinstance(refusal, Refusal)
    await until(lambda: (f"server/{name}", PEER) in refusals(site))
    return refusal.message


async def test_who_is_not_enrolled_or_not_itself_is_refused(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.rows[1]
        await made.end("b")
        stranger = replace(b, name="stranger")
        assert "no other server" in await refused(a, "stranger", stranger)
        assert "says that it is" in await refused(a, "b", stranger)
        assert "old copy" in await refused(a, "b", replace(b, epoch=0))
        assert "copy of it" in await refused(a, "b", replace(b, instance=b"another."))
        other = KeyRing(Secret(b"x" * 32), ESTATE)
        assert "root key" in await refused(a, "b", b, other)
        assert "root key" in await refused(a, "b", b, received=99)
        assert "no server has" in await refused(a, "b", replace(b, epoch=1 << 62))
        assert a.links.refused == 7
        assert not a.links.connected
        await made.begin("b")  # none of this keeps the true one out
        await until(lambda: a.links.connected)


async def test_a_rogue_under_the_name_of_a_server_does_not_end_its_stream(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: are_same(a, b) and a.links.connected)
        assert "copy of it" in await refused(a, "b", replace(made.rows[1], instance=b"another."))
        status = a.links.status("b")
        assert status is not None and status.connected
        await a.commit(*(make_key(number, "a") for number in range(1, 20)))
        await until(lambda: are_same(a, b))
        assert a.links.connected


async def test_a_server_of_a_new_epoch_is_taken_for_what_it_is_now(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.rows[1]
        await made.end("b")
        a.peers.greet("b", b"newer...", 2)
        assert "old copy" in await refused(a, "b", b)


async def test_a_server_that_is_behind_what_its_peer_has_of_it_is_an_old_copy(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: are_same(a, b) and a.links.connected)
        await made.end("b")
        for file in (tmp_path / "b" / "store").iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        b = await made.begin("b")
        await b.commit(*(make_key(number, "b") for number in range(1, 20)))
        await until(lambda: are_same(a, b))
        await made.end("b")
        for file in (tmp_path / "b" / "store").iterdir():
            file.unlink()
            if (kept := tmp_path / file.name).exists():
                file.write_bytes(kept.read_bytes())
        b = await made.begin("b")
        told = list[str]()
        b.links.on_behind.append(told.append)
        await until(lambda: bool(told) and "old copy" in told[0])
        assert not b.links.connected
