"""Our own key pairs for partners: made when first needed, and anew when their certificates have ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qekm.api.guard import _caller
from qekm.api.pairs import OwnPairs
from qekm.errors import BadFile, ReadOnly, UnknownCertificate
from qekm.model import Change, Role, Vault
from qekm.rpc.identity import Identity
from qekm.sharing import Pairs
from qekm.store import Snapshot, Store
from qekm.v1 import sharing_pb2 as pb
from tests.qekm.api.people import have, person
from tests.qekm.api.running import Running, running
from tests.qekm.api.sites import site

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
    ring, owners = run.store.ring, run.service.owners
    own = OwnPairs(made, owners.certificates, owners.keystore, ring, noting, lambda: now_us, os.urandom)
    _caller.set(Identity(Role.CUSTODIAN, "bob", "00"))
    pairs = await own.get("ExportKeys")
    assert (pairs is made) is not ended
    vaults = {change.name: change for change in noting.committed if isinstance(change, Vault)}
    stored = Pairs.load(vaults, ring)
    assert (stored.pem if stored else made.pem) == pairs.pem
    if stored:
        assert stored.former is not None and stored.former.encryption == made.encryption
        assert stored.former.decryption_key.private_numbers() == made.decryption_key.private_numbers()


async def test_an_auditor_has_none_made_and_gets_those_that_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=OldStore) as run:
        await have(run.client, run, Role.AUDITOR, "eve")
        async with person(run, "eve") as eve:
            before = await run.records()
            with pytest.raises(UnknownCertificate, match="no key pairs for partners yet"):
                await eve.sharing.GetCertificates(ASK)
            assert await run.records() == before
            made = await run.client.sharing.GetCertificates(ASK)
            assert await eve.sharing.GetCertificates(ASK) == made


async def test_none_are_made_in_a_store_that_is_only_read(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=OldStore) as run:
        run.service.owners.keystore.freeze("an old copy")
        with pytest.raises(ReadOnly, match="an old copy"):
            await run.client.sharing.GetCertificates(ASK)


async def test_a_file_for_the_pair_before_is_still_opened(tmp_path: Path) -> None:
    async with site(tmp_path / "a") as here, site(tmp_path / "b") as there:
        await here.knows(there, "there")
        await there.knows(here, "here")
        file = await here.send(await here.used(1), "there")
        owners = there.run.service.owners
        old = owners.pairs
        assert old is not None
        new = Pairs.make(owners.certificates.issuer, there.run.clock(), os.urandom, old)
        offers, partner = owners.importing.unseal(file, new)
        assert (len(offers), partner.name) == (1, "here")
        with pytest.raises(BadFile, match="another recipient"):
            owners.importing.unseal(file, replace(new, former=None))
