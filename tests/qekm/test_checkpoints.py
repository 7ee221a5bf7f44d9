"""How far a server was is told to others, and by that a lost end of its store or trail is found."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qekm.audit import occurred, verify_trail
from qekm.checkpointing import Checkpointing
from qekm.checkpoints import Checkpoints, Held
from qekm.configuration.settings import Settings
from qekm.estate import BEHIND
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.model import AuditRecord, Checkpoint, Group, Removal
from qekm.owners import Owners
from qekm.sealing import KeyFileSealer
from qekm.store import Link, Store
from qekm.store.chain import GENESIS, head_message, link
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.qekm.api.running import Clock
from tests.system.processes import run_server

KEY = Ed25519PrivateKey.generate()
LATER_US = 11_000_000
BEFORE = tuple[int, bytes]


def trail(count: int, said: str = "x") -> list[Link]:
    """Return a whole trail, every record signed."""
    links: list[Link] = []
    hash_ = GENESIS
    for sequence in range(1, count + 1):
        record: AuditRecord = occurred(sequence, "server.start", "server", message=said)
        hash_ = link(hash_, sequence, record)
        links.append(Link(sequence, record, hash_, KEY.sign(head_message(sequence, hash_))))
    return links


def told(of: Link) -> Checkpoint:
    """Return what a server told others when a link was its last."""
    assert of.signature is not None
    public_key = KEY.public_key().public_bytes_raw()
    return Checkpoint(bytes(8), 1, 7, bytes(32), of.sequence, of.hash, of.signature, public_key, 5)


def judged(links: Sequence[Link], *checkpoints: Checkpoint, seen: Sequence[BEFORE] = ()) -> tuple[int, str]:
    """Return where a trail is found to break, and why."""
    held = Held(checkpoints, KEY.public_key(), seen)
    verdict = held.judge(verify_trail(held.watch(links), KEY.public_key()))
    return verdict.broken_at, verdict.reason


def test_a_trail_that_was_cut_off_is_whole_but_for_what_others_know() -> None:
    links = trail(9)
    checkpoint = told(links[6])
    assert judged(links, checkpoint) == (0, "")
    assert judged(links[:7], checkpoint) == (0, "")
    assert judged(links[:5]) == (0, ""), "the control: nobody knows"
    where, why = judged(links[:5], checkpoint)
    assert (where, "had 7 records" in why) == (6, True)


def test_a_trail_that_was_written_anew_is_another() -> None:
    checkpoint = told(trail(9)[6])
    assert judged(trail(12, "another"), checkpoint)[0] == 7
    links = trail(9)
    assert judged(trail(12, "another"), seen=[(7, links[6].hash)])[0] == 7
    assert judged(links, seen=[(7, links[6].hash)]) == (0, "")


def test_a_trail_that_breaks_earlier_is_told_so() -> None:
    links = trail(9)
    links[2] = replace(links[2], hash=bytes(32))
    assert judged(links, told(trail(9)[6]))[0] == 3


def test_what_the_trails_key_has_not_signed_says_nothing() -> None:
    links = trail(9)
    for forged in (
        replace(told(links[6]), signature=bytes(64)),
        replace(told(links[6]), sequence=2_000),
        replace(told(links[6]), sequence=-1),
        replace(told(links[6]), hash=bytes(32)),
    ):
        assert judged(links, forged) == (0, "")


@dataclass
class Site:
    """A store, and what tells others of it."""

    home: Home
    store: Store
    owners: Owners
    checkpointing: Checkpointing
    clock: Clock

    async def tick(self) -> list[Checkpoint]:
        """Do what is due eleven seconds later; returns what is in the store."""
        self.clock.ahead_us += LATER_US
        await self.checkpointing.tick()
        return self.store.load().checkpoints

    async def work(self) -> None:
        """Do something that is recorded."""
        await self.store.commit([occurred(self.clock(), "server.start", "server")])


@asynccontextmanager
async def site(path: Path, *, journal: bool = True) -> AsyncIterator[Site]:
    """Make a key manager without keys, unless there is one."""
    home, clock = Home(path / "home"), Clock()
    if not home.config.exists():
        make(home, Wanted(keys=0, properties={"keystore.protect": "none"}), clock)
    settings = Settings.load(home.config, {})
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    try:
        owners = Owners.load(store, settings, home.certificate("server").read_bytes(), clock, os.urandom)
        store.start(owners.estate.audit_key.sign, lambda _error: None)
        if journal:
            await store.begin_journal()
        told_of = Checkpointing(owners.checkpoints, store, owners.keystore, owners.settings, clock)
        yield Site(home, store, owners, told_of, clock)
    finally:
        store.close()


async def test_a_server_tells_when_something_was_recorded_and_only_then(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.work()
        (first,) = await made.tick()
        head = made.store.audit_head()
        assert (first.sequence, first.hash) == (head.sequence, head.hash)
        assert (first.instance, first.epoch) == (made.owners.estate.instance, 1)
        assert first.commit == made.store.witness.sequence - 1
        made.owners.estate.audit_key.public_key().verify(
            first.signature, head_message(head.sequence, head.hash)
        )
        assert await made.tick() == [first]
        await made.work()
        (second,) = await made.tick()
        assert second.sequence == first.sequence + 1
        await made.work()
        await made.checkpointing.tick()
        assert made.store.load().checkpoints == [second], "every ten seconds"
        made.clock.ahead_us -= 365 * 86_400 * 1_000_000
        await made.checkpointing.tick()
        assert made.store.load().checkpoints != [second], "a clock that was set back silences nobody"


async def test_who_has_no_peers_tells_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, journal=False) as made:
        await made.work()
        assert await made.tick() == []


async def test_who_hears_of_its_own_future_gives_no_new_keys_now_and_after_a_start(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.work()
        (own,) = await made.tick()
        made.checkpointing.heard(own)
        made.checkpointing.heard(replace(own, instance=b"another1", commit=1 << 40))
        made.checkpointing.heard(Removal(Group, "default"))
        assert not made.owners.keystore.read_only
        made.checkpointing.heard(replace(own, commit=own.commit + 100))
        assert (
            f"another server knows commit {own.commit + 100:,} of epoch 1" in made.owners.keystore.read_only
        )
        await made.tick()
        made.checkpointing.heard(replace(own, commit=own.commit + 200))
        await made.tick()
        told_of = [each for each in made.store.iterate_audit() if each.record.event == "store.behind"]
        assert len(told_of) == 1
        assert made.store.load().settings[BEHIND] == made.owners.keystore.read_only


async def test_a_copy_that_went_on_by_itself_gives_no_new_keys_once_it_hears_of_the_other(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as made:
        await made.work()
        (own,) = await made.tick()
        for _ in range(9):
            await made.work()
        made.checkpointing.heard(own)
        await made.tick()
        assert not made.owners.keystore.read_only, "the control: it is this one's own past"
        made.checkpointing.heard(replace(own, sequence=own.sequence + 99, commit=1))
        await made.tick()
        assert f"another record {own.sequence + 99:,}" in made.owners.keystore.read_only
    async with site(tmp_path / "other") as made:
        await made.work()
        (own,) = await made.tick()
        made.checkpointing.heard(replace(own, hash=bytes(32)))
        await made.tick()
        assert f"another record {own.sequence:,}" in made.owners.keystore.read_only
        assert made.store.load().settings[BEHIND] == made.owners.keystore.read_only


async def test_who_died_before_it_remembered_what_it_heard_is_told_at_the_next_start(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.work()
        (own,) = await made.tick()
        await made.store.commit([replace(own, commit=own.commit + 100)])
    async with site(tmp_path) as made:
        assert "of this store, which is at" in made.owners.keystore.read_only
        await made.tick()
        assert made.store.load().settings[BEHIND] == made.owners.keystore.read_only


@pytest.mark.parametrize(
    ("epoch", "commit", "behind"), [(1, 9, True), (2, 1, True), (1, 5, False), (0, 99, False)]
)
def test_further_is_a_later_epoch_or_commit(epoch: int, commit: int, behind: bool, tmp_path: Path) -> None:
    from qekm.store import Witness

    checkpoints = Checkpoints((), bytes(8), bytes(32))
    checkpoints.take(replace(told(trail(1)[0]), epoch=epoch, commit=commit))
    assert bool(checkpoints.behind(Witness(1, 5, bytes(32)))) is behind


async def test_the_program_holds_the_trail_against_what_was_told(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.work()
        (own,) = await made.tick()
        await made.work()
        key = read_public_key(made.home.audit_key)
        home = made.home
    seen = f"{own.sequence}:{own.hash.hex()}"
    assert verify(home, key).intact
    good = run_server("audit-verify", home.path, "--seen", seen)
    assert good.returncode == 0, good.stdout + good.stderr
    other = run_server("audit-verify", home.path, "--seen", f"{own.sequence}:{bytes(32).hex()}")
    assert (other.returncode, f"BROKEN at record {own.sequence}" in other.stdout) == (5, True)
    assert "SEQUENCE:HASH" in run_server("audit-verify", home.path, "--seen", "x").stderr
    import sqlite3

    connection = sqlite3.connect(home.store)
    connection.execute("DELETE FROM audit WHERE sequence >= ?", (own.sequence,))
    connection.commit()
    connection.close()
    cut = verify(home, key)
    assert not cut.intact
    assert f"had {own.sequence:,} records" in cut.reason
