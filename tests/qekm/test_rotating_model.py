"""Whatever is done in whatever order around rotations, wherever it is cut off: every key stays readable."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import KeyInUse, StoreDamaged
from qekm.model import KeyState
from qekm.rotating import BATCH, Rotating
from qekm.store import CURRENT, OLDEST
from tests.qekm.test_rotating import NOW_US, Hasty, Site, make, materials, opened

ACTS = ("rotate", "batch", "tick", "make", "give", "destroy", "stop")
KEYS = 150


async def act(name: str, site: Site, known: dict[str, bytes]) -> None:
    """Do one thing as the service does it, and note what the disk must have then."""
    keystore = site.keystore
    if name == "rotate" and not site.rotating.running:
        await site.rotate()
    elif name == "batch":
        keys, _ = keystore.reseal(BATCH)
        await site.store.commit(keys)
    elif name == "tick":
        await site.rotating.tick()
    elif name == "make":
        made = keystore.generate(3, "default")
        await site.store.commit(made)
        known.update({key.alias: keystore.open(key).reveal() for key in made})
    elif name == "give" and (key := keystore.next_ready("default")):
        await site.store.commit([keystore.assign(key, 5, ("001300000392", b"", ""))])
    elif name == "destroy":
        with suppress(KeyInUse):
            key = next(key for key in keystore if key.state is not KeyState.DESTROYED)
            await site.store.commit([keystore.erase(key, NOW_US)])
            del known[key.alias]


async def play(path: Path, acts: list[str], kind: type[Rotating] = Rotating) -> None:
    """Do things one after the other; at each `stop` the disk is looked at, and opened anew."""
    content, root = make(path, KEYS)
    known = materials(path, content)
    for run in " ".join(acts).split("stop"):
        async with opened(path, content, root, kind) as site:
            for name in run.split():
                await act(name, site, known)
        assert materials(path, content) == known
    async with opened(path, content, root) as site:
        await site.finish()
        await site.rotating.tick()
        assert site.settings.get(OLDEST, "1") == site.settings.get(CURRENT, "1")
    assert materials(path, content) == known


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(ACTS), min_size=3, max_size=20))
def test_no_order_of_acts_and_stops_loses_a_key(acts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(Path(directory) / "store" / "qekm.db", acts))


async def test_the_same_judge_sees_a_build_that_forgets_too_early(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged):
        await play(tmp_path / "store" / "qekm.db", ["make", "rotate", "tick", "stop"], Hasty)
