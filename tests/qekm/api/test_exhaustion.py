"""What drives see when a pool runs out, by the policy of its group; and that a restart changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.dkp.codes import Ask, Code
from qekm.model import KeyState
from qekm.v1 import groups_pb2
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Refused
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import Gateway, Running, running

SIDE_BY_SIDE = {"dkp__connectionsPerAddress": "1000", "drive__creationsPerHour": "1000000"}


async def set_policy(run: Running, policy: groups_pb2.OnExhaustion) -> None:
    """Set what the default group does when its keys were used."""
    request = groups_pb2.UpdateGroupRequest(group=groups_pb2.Group(name="default", on_exhaustion=policy))
    request.update_mask.paths.append("on_exhaustion")
    await run.client.groups.UpdateGroup(request)


async def written(gateway: Gateway, site: Site, drive: Drive) -> bytes:
    """Have a cartridge written; return the DKi of its key."""
    asking = site.asking(drive)
    await play(gateway, asking)
    assert asking.outcome.key is not None
    return asking.outcome.key.dki


async def test_a_group_that_refuses_refuses_with_ee34_and_its_cartridges_are_read(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=5) as run:
        await set_policy(run, groups_pb2.ON_EXHAUSTION_REFUSE)
        site = await Site.of(run)
        async with run.gateway() as gateway:
            drive, other = site.drive(), site.drive("001310000363")
            used = [await written(gateway, site, drive) for _ in range(5)]
            await run.service.upkeep.tick()
            for _ in range(2):
                with pytest.raises(Refused) as caught:
                    await play(gateway, site.asking(drive))
                assert caught.value.number == Code.EE34
            for dki in used:
                reading = site.asking(other, Ask.TRANSLATE, dki=dki)
                await play(gateway, reading)
                assert reading.outcome.key is not None
        told = [
            (each.outcome.name, each.message) for each in await run.records() if each.event == "group.low"
        ]
        (low,) = told  # at the last key, or after it, as the upkeep looks
        assert low in [("FAILURE", f"group default: {n} of 5 keys are left to give out") for n in (0, 1)]


async def test_a_group_that_reuses_goes_round_also_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=3) as run:
        await set_policy(run, groups_pb2.ON_EXHAUSTION_REUSE)
        site = await Site.of(run)
        async with run.gateway() as gateway:
            drive = site.drive()
            turns = [await written(gateway, site, drive) for _ in range(7)]
        assert turns[3:6] == turns[:3] and turns[6] == turns[0] and len(set(turns)) == 3
    async with running(tmp_path / "home") as run:
        site = await Site.of(run)
        async with run.gateway() as gateway:
            drive = site.drive("001310000363")
            assert [await written(gateway, site, drive) for _ in range(2)] == turns[1:3]


async def test_a_refilled_group_never_refuses_however_fast_its_keys_go(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=16, **SIDE_BY_SIDE) as run:  # type: ignore[arg-type]
        site = await Site.of(run)
        drives = [site.drive(f"{number:012}") for number in range(32)]
        given: list[str] = []
        async with run.gateway() as gateway:
            for _ in range(6):  # each round takes more than there are
                askings = [site.asking(drive) for drive in drives]
                await play(gateway, *askings)
                given += [asking.outcome.key.alias for asking in askings if asking.outcome.key]
        assert len(given) == len(set(given)) == 6 * 32
        counts = run.service.owners.keystore.counts()
        assert counts[KeyState.ACTIVE] == len(given)
        assert not counts[KeyState.SUSPECT]


async def test_new_keys_that_wait_for_a_backup_are_not_given_and_reading_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=4) as run:
        config = run.home.config
    # From now on new keys wait, for ever: backups on the store's own disk do not count.
    text = config.read_text().replace("keystore.protect=none", "keystore.protect=backup")
    config.write_text(text.replace("backup.target=", f"backup.target={tmp_path}"))
    async with running(tmp_path / "home") as run:
        keystore, site = run.service.owners.keystore, await Site.of(run)
        drive = site.drive()
        async with run.gateway() as gateway:
            with pytest.raises(Refused):  # those that were ready without a backup wait for one, too
                await play(gateway, site.asking(drive))
            keystore.bound(keystore.created_seq)
            used = [await written(gateway, site, drive) for _ in range(4)]
            await run.service.upkeep.tick()
            assert keystore.counts()[KeyState.GENERATED] == 4, "it is refilled, and what is made waits"
            assert run.service.owners.allocator.needs_refill("default") == 0
            assert run.service.owners.allocator.is_low("default")
            with pytest.raises(Refused) as caught:
                await play(gateway, site.asking(drive))
            assert caught.value.number == Code.EE34
            reading = site.asking(site.drive("001310000363"), Ask.TRANSLATE, dki=used[0])
            await play(gateway, reading)
            assert reading.outcome.key is not None
            await run.store.commit(keystore.protect(keystore.created_seq))
            assert await written(gateway, site, drive) not in used
            await run.service.upkeep.tick()
        told = [each.outcome.name for each in await run.records() if each.event == "group.low"]
        assert told
        assert told == ["FAILURE", "SUCCESS"] * (len(told) // 2)  # more often if the upkeep looked between
