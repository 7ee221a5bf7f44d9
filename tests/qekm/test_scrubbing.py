"""The scrubber: it finds what changed under a running service, and drives are served meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.configuration.settings import Settings
from qekm.errors import ReadOnly
from qekm.scrubbing import Scrubber
from qekm.v1.server_pb2 import GetStatusRequest
from tests.qekm.api.running import Running, running


def scrubber(run: Running) -> Scrubber:
    """Return a scrubber of a running service."""
    return Scrubber(run.store, run.service.owners, Settings.load(run.home.config, {}), run.clock, 0.0)


def damage(run: Running, statement: str) -> None:
    """Alter the store behind the service's back."""
    with sqlite3.connect(run.home.store) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


async def test_a_store_that_is_well_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        own = scrubber(run)
        await own.scrub()
        assert own.findings == ()
        assert run.service.owners.keystore.read_only == ""
        assert "store.damaged" not in [record.event for record in await run.records()]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE keys SET sealed = zeroblob(63) WHERE created_seq = 3", "keys "),
        ("DELETE FROM keys WHERE created_seq = 3", "the store root does not hold"),
        ("UPDATE certificates SET revoke_time_us = 1", "certificates "),
        ("UPDATE audit SET message = 'nothing' WHERE sequence = 2", "audit record 2: "),
    ],
)
async def test_damage_is_named_recorded_told_and_ends_the_giving_of_keys(
    tmp_path: Path, statement: str, named: str
) -> None:
    async with running(tmp_path / "home") as run:
        damage(run, statement)
        own = scrubber(run)
        await own.scrub()
        assert own.findings[0].startswith(named)
        (record,) = [record for record in await run.records() if record.event == "store.damaged"]
        assert named in record.message
        with pytest.raises(ReadOnly, match="damaged"):
            run.service.owners.keystore.generate(1, "default")
        status = await run.client.server.GetStatus(GetStatusRequest())
        assert any("READ ONLY" in line and named in line for line in status.degraded)
        await own.scrub()  # the same damage is told once
        assert sum(record.event == "store.damaged" for record in await run.records()) == 1


async def test_a_key_that_went_bad_in_memory_is_found(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        keystore = run.service.owners.keystore
        key = next(iter(keystore))
        keystore.put(replace(key, check_value=b"flip"))
        own = scrubber(run)
        await own.scrub()
        assert own.findings == (f"key {key.alias}",)


async def test_a_pass_begins_when_it_is_due_and_only_one_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        settings = Settings.load(run.home.config, {})
        later = Scrubber(run.store, run.service.owners, settings, run.clock, 3_600.0)
        await later.tick()
        assert later._pass is None
        now = scrubber(run)
        await now.tick()
        under_way = now._pass
        await now.tick()
        assert now._pass is under_way is not None
        await under_way
        await now.tick()
        assert now._pass is None


async def test_a_stop_waits_for_no_whole_pass(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=2_000) as run:
        own = scrubber(run)
        await own.tick()
        await asyncio.sleep(0.05)
        await asyncio.wait_for(own.close(), 2.0)
        assert own.findings == ()


async def test_another_number_of_hours_is_in_force_for_the_pass_that_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=0) as run:
        settings = Settings.load(run.home.config, {})
        own = Scrubber(run.store, run.service.owners, settings, run.clock, 0.0)
        await own.scrub()
        before = own._due()
        settings.put("store.scrubHours", "1")
        assert before - own._due() == pytest.approx(23 * 3_600)
