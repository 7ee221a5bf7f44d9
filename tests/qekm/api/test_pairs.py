"""Our own key pairs for partners: made when first needed, and anew when their certificates have ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qekm.api.pairs import OwnPairs
from qekm.model import Change, Vault
from qekm.sharing import Pairs
from qekm.store import Snapshot, Store
from qekm.v1 import sharing_pb2 as pb
from tests.qekm.api.running import Running, running

ASK = pb.GetCertificatesRequest()


class OldStore(Store):
    """A store as 0.1.0 made it."""

    def load(self) -> Snapshot:
        """Read everything but what that version did not know."""
        found = super().load()
        for name in [name for name in found.vaults if name.startswith("sharing-")]:
            del found.vaults[name]
        return found


async def test_a_new_store_has_them_and_nothing_is_written_to_tell_them(run: Running) -> None:
    before = await run.records()
    told = await run.client.sharing.GetCertificates(ASK)
    assert told.pem.count("BEGIN CERTIFICATE") == 3
    assert await run.records() == before


async def test_a_store_of_0_1_0_gets_them_when_they_are_first_needed(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=OldStore) as run:
        first, *others = await asyncio.gather(*(run.client.sharing.GetCertificates(ASK) for _ in range(3)))
        assert others == [first] * 2
        records = [record for record in await run.records() if record.event == "rpc.GetCertificates"]
        assert [record.message for record in records] == [
            f"key pairs for partners made, SHA-256 {first.fingerprint.hex()}"
        ]
    async with running(tmp_path / "home") as run:
        assert await run.client.sharing.GetCertificates(ASK) == first


class Noting:
    """Notes what is committed."""

    def __init__(self) -> None:
        self.committed: list[Change] = []

    async def commit(self, method: str, changes: Sequence[Change], **told: Any) -> None:
        """Note it."""
        assert method == "ExportKeys"
        self.committed += changes


@pytest.mark.parametrize("ended", [False, True])
async def test_new_ones_take_the_place_of_those_whose_certificates_have_ended(
    run: Running, ended: bool
) -> None:
    made = run.service.owners.pairs
    assert made is not None
    noting: Any = Noting()
    now_us = made.end_us - 1 + ended
    ring = run.store.ring
    own = OwnPairs(made, run.service.owners.certificates, ring, noting, lambda: now_us, os.urandom)
    pairs = await own.get("ExportKeys")
    assert (pairs is made) is not ended
    vaults = {change.name: change for change in noting.committed if isinstance(change, Vault)}
    stored = Pairs.load(vaults, ring)
    assert (stored.pem if stored else made.pem) == pairs.pem
