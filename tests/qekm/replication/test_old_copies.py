"""A server whose store was put back to an earlier time learns of that from the others, as they speak."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.model import Checkpoint, Drive, DriveState
from qekm.peers import KNOWN_EPOCH
from tests.qekm.replication.ends import TABLES, begun, line, lines, pair, taken
from tests.qekm.replication.sites import are_same, estate, instance_of, until

SHARED = (*TABLES, ("checkpoints", ("instance", "epoch")))
OF_B = b"b" * 8


def test_what_a_server_told_of_itself_is_told_it_again_and_nothing_else_of_its_own() -> None:
    a, b = (
        begun("a", calling=True, tables=SHARED),
        begun("b", calling=False, received=4, of="a", tables=SHARED),
    )
    b.greet(a.hello(), "a", 100)
    a.greet(b.hello(), "b", 100)
    checkpoint = replace(line(6), table="checkpoints", key=OF_B, origin=OF_B, values=(OF_B, 1))
    page = [line(5, OF_B), checkpoint, *lines(7, 7)]
    assert [each.key for each in taken(b, a.batch(page))] == [OF_B, "g7"]
    assert pair()[0].batch([line(5, OF_B)]).rows, "the control: from the start everything is sent"


def checkpoint(commit: int) -> Checkpoint:
    """Return how far the first server says that it is."""
    return Checkpoint(instance_of("a"), 1, commit, bytes(32), commit, bytes(32), bytes(64), bytes(32), 5)


async def test_an_old_copy_of_a_store_is_told_so_when_it_greets(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: are_same(a, b))
        await made.end("a")
        shutil.copytree(tmp_path / "a", tmp_path / "old")
        a = await made.begin("a")
        reasons: list[str] = []
        a.links.on_behind.append(reasons.append)
        for number in range(5):
            await a.commit(Drive(f"00130000039{number}", DriveState.ACCEPTED, 5), checkpoint(number))
        await until(lambda: are_same(a, b) and b.rows()["drives"].rows == 5)
        assert reasons == []
        await made.end("a")
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "old").rename(tmp_path / "a")
        a = await made.begin("a")
        a.links.on_behind.append(reasons.append)
        await until(lambda: bool(reasons))
        assert "it may be an old copy" in reasons[0]


async def test_an_old_copy_that_has_written_more_since_is_told_how_far_it_was(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: are_same(a, b))
        await made.end("a")
        shutil.copytree(tmp_path / "a", tmp_path / "old")
        a = await made.begin("a")
        await a.commit(checkpoint(9_000))
        await until(lambda: "checkpoints" in b.rows() and are_same(a, b))
        made.wire("a", "b").cut = True
        await made.end("a")
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "old").rename(tmp_path / "a")
        a = await made.begin("a")
        for number in range(9):
            await a.commit(Drive(f"00130000039{number}", DriveState.ACCEPTED, 5))
        made.wire("a", "b").cut = False
        await until(lambda: "checkpoints" in a.rows())
        assert a.store.load().checkpoints == [checkpoint(9_000)]


@pytest.mark.parametrize(("now", "why"), [((b"newer...", 5), "old copy"), ((b"another.", 1), "a copy of it")])
@pytest.mark.parametrize("name", ["a", "b"], ids=["who is called", "who calls"])
async def test_a_server_whose_place_another_one_has_taken_learns_it_and_the_epoch(
    tmp_path: Path, name: str, now: tuple[bytes, int], why: str
) -> None:
    async with estate(tmp_path, "a", "b") as made:
        other = made.sites["b" if name == "a" else "a"]
        await until(lambda: are_same(*made.sites.values()) and other.links.connected)
        await made.end(name)
        taken = replace(other.peers.find(name), instance=now[0], epoch=now[1])
        await other.commit(other.peers.take(taken))
        site = await made.begin(name)
        reasons: list[str] = []
        site.links.on_behind.append(reasons.append)
        await until(lambda: bool(reasons))
        assert why in reasons[0] and "refuses this one" in reasons[0]
        assert site.store.load().settings[KNOWN_EPOCH] == str(now[1])
