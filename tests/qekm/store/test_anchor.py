"""An old copy of a store is told by what has seen it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.errors import StoreFailed
from qekm.store import Store
from qekm.store.anchor import Anchor, Witness, behind, read_anchor
from tests.qekm.store.conftest import Failures
from tests.qekm.store.material import ESTATE, RING, SIGNER, create, make_key, unlock

SEALS = RING.seals
HERE = Witness(1, 10, b"r" * 32)


@pytest.mark.parametrize(
    ("anchored", "anchor", "others", "reason"),
    [
        (False, None, [], ""),
        (True, HERE, [], ""),
        (True, Witness(1, 9, b"o" * 32), [], ""),
        (True, HERE, [Witness(1, 10), Witness(1, 4)], ""),
        (True, None, [], "missing"),
        (True, Witness(1, 11, b"r" * 32), [], "seen commit 11"),
        (True, Witness(2, 3, b"r" * 32), [], "seen commit 3"),
        (True, Witness(1, 10, b"x" * 32), [], "another store"),
        (True, HERE, [Witness(1, 11)], "backup has seen commit 11"),
        (False, None, [Witness(2, 1)], "backup has seen"),
    ],
)
def test_a_store_is_behind_when_anything_has_seen_it_later(
    anchored: bool, anchor: Witness | None, others: list[Witness], reason: str
) -> None:
    told = behind(HERE, anchored, anchor, others)
    assert reason in told if reason else told == ""


def test_an_anchor_says_what_was_put_last_and_a_torn_record_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "anchor"
    assert read_anchor(path, SEALS, ESTATE) is None
    anchor = Anchor(path, SEALS, ESTATE)
    for sequence in (1, 2, 3):
        anchor.put(Witness(1, sequence, bytes(32)))
    anchor.close()
    assert read_anchor(path, SEALS, ESTATE) == Witness(1, 3, bytes(32))
    content = path.read_bytes()
    for place in range(512, 512 + 88):  # the record of commit 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert read_anchor(path, SEALS, ESTATE) == Witness(1, 2, bytes(32)), place
    for size in range(0, len(content), 37):
        path.write_bytes(content[:size])
        assert read_anchor(path, SEALS, ESTATE) in (None, Witness(1, 2, bytes(32)), Witness(1, 3, bytes(32)))


def test_another_stores_anchor_says_nothing(tmp_path: Path) -> None:
    anchor = Anchor(tmp_path / "anchor", SEALS, bytes(16))
    anchor.put(Witness(1, 3, bytes(32)))
    anchor.close()
    assert read_anchor(tmp_path / "anchor", SEALS, ESTATE) is None


def test_an_anchor_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "none" / "anchor", tmp_path / "link"):
        with pytest.raises(StoreFailed, match=str(path)):
            Anchor(path, SEALS, ESTATE)


async def test_a_snapshot_put_back_is_noticed_and_its_anchor_left_alone(tmp_path: Path) -> None:
    path, anchor, failures = create(tmp_path), tmp_path / "anchor", Failures()

    async def work(number: int) -> str:
        store = Store.open(path, unlock, anchor=anchor)
        store.start(SIGNER.sign, failures.append)
        await store.commit([make_key(number)])
        store.close()
        return store.behind

    assert await work(1) == ""
    snapshot = path.read_bytes()
    assert await work(2) == ""
    path.write_bytes(snapshot)
    said = anchor.read_bytes()
    assert "its anchor has seen commit" in await work(3)
    assert anchor.read_bytes() == said
    # It is now as far as its anchor, with another history.
    assert "another store at the same commit" in await work(4)
    anchor.unlink()
    assert "missing" in await work(5)
