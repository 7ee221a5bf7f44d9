"""ConfigurationService over the wire."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from qekm.configuration.parts import at_once
from qekm.configuration.settings import Settings, amend
from qekm.drivetable import HEAD
from qekm.errors import (
    BadArgument,
    BadConfiguration,
    GroupInUse,
    NotFromAfar,
    QekmError,
    StoreFailed,
    UnknownGroup,
    UnknownProperty,
)
from qekm.interchange.roster import parse
from qekm.model import OnExhaustion
from qekm.properties import NOT_SHOWN, PROPERTIES
from qekm.v1 import configuration_pb2 as pb
from qekm.v1 import drives_pb2, groups_pb2, server_pb2
from tests.qekm.api.running import Running, running
from tests.waiting import PATIENCE_S, until

ORIGINS = {"original": pb.ORIGIN_ORIGINAL, "ours": pb.ORIGIN_OURS, "kept": pb.ORIGIN_KEPT}
ACCEPT, GROUP, FIRST, SECOND = (
    *("drive.acceptUnknownDrives", "symmetricKeySet", "drive.default.alias1", "drive.default.alias2"),
)
URL = "config.drivetable.file.url"

READ_ANEW = {
    *("store.scrubHours", "keystore.destroyDays", "admin.sessionMinutes", URL),
    *("Audit.event.types", "Audit.event.outcome"),
    *("peers.waitMilliseconds", "peers.strict", "peers.awayMinutes", "peers.lagSeconds"),
    *("alarms.level", "alarms.repeatHours", "alarms.diskMegabytes"),
}
"""Dynamic properties of which no part is told: they are looked up whenever they are needed."""


async def listed(run: Running, *names: str) -> dict[str, pb.Property]:
    """Return properties by name."""
    response = await run.client.configuration.ListProperties(pb.ListPropertiesRequest(names=names))
    return {item.name: item for item in response.properties}


async def update(run: Running, *unset: str, **values: str) -> pb.UpdatePropertiesResponse:
    """Set properties, dots in names as `__`, and unset others."""
    wanted = {name.replace("__", "."): value for name, value in values.items()}
    return await run.client.configuration.UpdateProperties(
        pb.UpdatePropertiesRequest(set=wanted, unset=unset)
    )


async def degraded(run: Running) -> str:
    """Return what a status says."""
    status = await run.client.server.GetStatus(server_pb2.GetStatusRequest())
    return "\n".join(status.degraded)


async def create_group(run: Running, name: str, is_default: bool = False) -> None:
    """Make a group."""
    group = groups_pb2.Group(name=name, is_default=is_default)
    await run.client.groups.CreateGroup(groups_pb2.CreateGroupRequest(group=group))


async def test_every_property_is_listed_as_the_table_has_it(run: Running) -> None:
    amend(run.home.config, {"Server.password": "hunter2"})
    found = await listed(run)
    assert list(found) == sorted(PROPERTIES)
    for name, item in PROPERTIES.items():
        told = found[name]
        assert (told.default_value, told.unit, told.help) == (item.default, item.unit, item.help)
        assert (told.origin, told.dynamic) == (ORIGINS[item.origin], item.dynamic)
        assert told.value == run.service.configuration.settings.text(name)
    assert found["TransportListener.ssl.port"].source == "environment"
    assert found["grpc.port"].source == "file"
    assert found["sync.type"].source == "default"
    assert found["Server.password"].pending_value == NOT_SHOWN
    await run.client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest())
    assert (await listed(run))["Server.password"].value == NOT_SHOWN
    assert "hunter2" not in str(found) + str(await run.records())


async def test_some_are_listed_under_any_of_their_names_and_unknown_ones_as_such(run: Running) -> None:
    with run.home.config.open("a") as file:
        file.write("no.such=1\nx.password=hunter2\n")
    found = await listed(run, "default.drive.alias1", "grpc.port", "no.such", "x.password")
    assert set(found) == {FIRST, "grpc.port", "no.such", "x.password"}
    assert (found["no.such"].value, found["no.such"].origin) == ("1", pb.ORIGIN_UNKNOWN)
    assert found["x.password"].value == NOT_SHOWN
    with pytest.raises(UnknownProperty):
        await listed(run, "grpc.port", "nonsense")


async def test_every_dynamic_property_is_somebodys_and_every_part_is_told_of_dynamic_ones(
    run: Running,
) -> None:
    shared = {name for name, item in PROPERTIES.items() if item.shared}
    told = [set(part.names) for part in run.service.configuration._parts]
    assert told.count(shared) == 1  # what tells the other servers
    parts = {name for names in told if names != shared for name in names}
    dynamic = {name for name, item in PROPERTIES.items() if item.dynamic}
    assert dynamic <= parts | READ_ANEW
    assert not READ_ANEW & parts
    assert dynamic >= READ_ANEW


async def test_a_change_is_in_force_in_the_file_and_in_the_trail_with_both_values(run: Running) -> None:
    response = await update(run, drive__acceptUnknownDrives="pending", health__port="4711")
    assert list(response.at_restart) == ["health.port"]
    assert run.service.owners.serving._desk.policy.accept == "pending"
    settings = Settings.load(run.home.config, {})
    assert (settings[ACCEPT], settings["health.port"]) == ("pending", 4711)
    record = (await run.records())[-1]
    assert (record.event, record.actor) == ("rpc.UpdateProperties", "administrator/administrator")
    assert set(record.message.split("; ")) == {f"{ACCEPT}: true -> pending", "health.port: 0 -> 4711"}
    found = await listed(run, ACCEPT, "health.port")
    assert not found[ACCEPT].HasField("pending_value")
    assert (found["health.port"].value, found["health.port"].pending_value) == ("0", "4711")
    await update(run, ACCEPT, "health.port")
    assert run.service.owners.serving._desk.policy.accept == "true"
    assert not (await listed(run, "health.port"))["health.port"].HasField("pending_value")


async def test_what_names_a_file_a_program_or_a_safeguard_is_not_changed_from_afar(run: Running) -> None:
    before = run.home.config.read_bytes()
    for name in (name for name, item in PROPERTIES.items() if item.local):
        for act in (update(run, name), update(run, ACCEPT, **{name: PROPERTIES[name].default})):
            with pytest.raises(NotFromAfar) as refused:
                await act
            assert refused.value.details["property"] == name
            assert "qekm-server config set" in refused.value.advice
    assert run.home.config.read_bytes() == before


IMPOSSIBLE: list[tuple[dict[str, str], list[str], type[QekmError]]] = [
    ({}, [], BadArgument),
    ({"nonsense": "1"}, [], UnknownProperty),
    ({}, ["nonsense"], UnknownProperty),
    ({ACCEPT: "perhaps"}, [], BadConfiguration),
    ({ACCEPT: "pending", "dkp.frameTimeout": "0"}, [], BadConfiguration),
    ({GROUP: "none"}, [], UnknownGroup),
    ({GROUP: "ABC00-FF,ABC0100"}, [], BadConfiguration),
    ({FIRST: "none"}, [], UnknownGroup),
    ({ACCEPT: "pending", "default.drive.alias2": "none"}, [], UnknownGroup),
]


async def test_what_cannot_be_changes_nothing(run: Running) -> None:
    before, records = run.home.config.read_bytes(), await run.records()
    for values, unset, error in IMPOSSIBLE:
        with pytest.raises(error):
            await update(run, *unset, **values)
        assert run.home.config.read_bytes() == before
        assert await run.records() == records
        assert run.service.configuration.settings[ACCEPT] == "true"


async def test_a_file_edited_by_hand_is_refreshed(run: Running) -> None:
    amend(run.home.config, {ACCEPT: "false", "keystore.destroyDays": "3", "health.port": "4711"})
    response = await run.client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest())
    assert set(response.changed) == {ACCEPT, "keystore.destroyDays", "health.port"}
    assert list(response.at_restart) == ["health.port"]
    assert run.service.owners.serving._desk.policy.accept == "false"
    record = (await run.records())[-1]
    assert record.event == "rpc.RefreshConfiguration"
    assert "keystore.destroyDays: 7 -> 3" in record.message
    with run.home.config.open("a") as file:
        file.write("grpc.host=a b\n")
    with pytest.raises(BadConfiguration, match=r"grpc\.host"):
        await run.client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest())
    assert "health.port" in await listed(run, "health.port")
    assert "the next start would fail: KeyManagerConfig.properties, line " in await degraded(run)


async def test_what_was_changed_while_the_service_did_not_run_is_in_the_trail(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as run:
        await update(run, drive__acceptUnknownDrives="pending")
        amend(run.home.config, {"twoPerson": "off", "Server.password": "hunter2"})
    async with running(tmp_path / "home") as run:
        (record,) = [record for record in await run.records() if record.event == "configuration.change"]
        assert record.actor == "server"
        assert set(record.message.split("; ")) == {
            "twoPerson: on -> off",
            "Server.password: (empty) -> (not shown)",
        }
    async with running(tmp_path / "home") as run:
        events = [record.event for record in await run.records()]
        assert events.count("configuration.change") == 1


async def test_a_part_that_fails_behind_the_file_stops_the_service(run: Running) -> None:
    def fail(_coming: Settings) -> None:
        raise KeyError("unforeseen")

    run.service.configuration.on_change((ACCEPT,), at_once(fail))
    with pytest.raises(StoreFailed):
        await update(run, drive__acceptUnknownDrives="pending")
    assert Settings.load(run.home.config, {})[ACCEPT] == "pending"
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(StoreFailed, match="the service stops"):
            await run.service.wait()


# symmetricKeySet is the default group.


async def test_the_property_makes_a_group_the_default_in_the_same_commit(run: Running) -> None:
    await create_group(run, "tapes")
    await update(run, symmetricKeySet="tapes")
    assert run.service.owners.allocator.default().name == "tapes"
    assert {group.name for group in run.store.load().groups if group.is_default} == {"tapes"}
    assert (await run.records())[-1].message == "symmetricKeySet: default -> tapes"
    await update(run, GROUP)
    assert run.service.owners.allocator.default().name == "default"


async def test_a_group_that_is_made_the_default_is_in_the_file(run: Running) -> None:
    await create_group(run, "tapes", is_default=True)
    assert Settings.load(run.home.config, {})[GROUP] == "tapes"
    assert (await listed(run, GROUP))[GROUP].value == "tapes"
    record = (await run.records())[-1]
    assert (record.event, record.message) == ("rpc.CreateGroup", "group tapes, REFILL, the default")
    request = groups_pb2.UpdateGroupRequest(
        group=groups_pb2.Group(name="default", is_default=True, on_exhaustion=groups_pb2.ON_EXHAUSTION_REUSE)
    )
    request.update_mask.paths.extend(["is_default", "on_exhaustion"])
    group = (await run.client.groups.UpdateGroup(request)).group
    assert group.is_default
    assert Settings.load(run.home.config, {})[GROUP] == "default"
    stored = {group.name: group for group in run.store.load().groups}
    assert (stored["default"].is_default, stored["tapes"].is_default) == (True, False)
    assert stored["default"].on_exhaustion is OnExhaustion.REUSE
    assert (await run.records())[-1].event == "rpc.UpdateGroup"
    assert GROUP not in await degraded(run)


async def test_a_group_whose_default_cannot_be_written_is_not_made(run: Running) -> None:
    run.home.config.write_text("grpc.port=x\n")
    with pytest.raises(BadConfiguration):
        await create_group(run, "tapes", is_default=True)
    groups = await run.client.groups.ListGroups(groups_pb2.ListGroupsRequest())
    assert [group.name for group in groups.groups] == ["default"]
    assert run.service.owners.allocator.default().name == "default"


async def test_a_key_is_no_group(run: Running) -> None:
    alias = next(iter(run.service.owners.keystore)).alias
    for name in (GROUP, FIRST):
        with pytest.raises(BadConfiguration, match="every drive would get the same one"):
            await update(run, **{name: alias.lower()})


async def test_groups_to_be_preferred_are_tried_before_the_default(run: Running) -> None:
    await create_group(run, "first")
    await create_group(run, "second")
    allocator, keystore = run.service.owners.allocator, run.service.owners.keystore
    aliases = [key.alias for key in keystore][:1]
    allocator.move(aliases, "second")
    await update(run, **{"default.drive.alias1": "first", SECOND: "second"})
    assert allocator.choose(None).alias == aliases[0]
    with pytest.raises(GroupInUse):
        await run.client.groups.DeleteGroup(groups_pb2.DeleteGroupRequest(name="first"))
    await update(run, FIRST, SECOND)
    assert allocator.choose(None).group == "default"
    await run.client.groups.DeleteGroup(groups_pb2.DeleteGroupRequest(name="first"))


async def test_at_a_start_the_file_wins_if_it_was_edited_and_else_the_store(tmp_path: Path) -> None:
    path = tmp_path / "home"
    async with running(path) as run:
        await create_group(run, "tapes")
        amend(run.home.config, {GROUP: "tapes", FIRST: "gone"})
    async with running(path) as run:
        assert run.service.owners.allocator.default().name == "tapes"
        assert {group.name for group in run.store.load().groups if group.is_default} == {"tapes"}
        assert f"{FIRST}=gone names no key group: it is passed over" in await degraded(run)
        amend(run.home.config, {GROUP: "no-such"})
    for _ in range(2):
        async with running(path) as run:
            assert run.service.owners.allocator.default().name == "tapes"
            told = "symmetricKeySet=no-such is not in force: the default key group is tapes"
            assert told in await degraded(run)
            assert (await listed(run, GROUP))[GROUP].pending_value == "no-such"
            assert Settings.load(run.home.config, {})[GROUP] == "no-such"


async def test_a_store_of_0_2_0_has_its_default_written_into_the_file(tmp_path: Path) -> None:
    """That release changed the store only; it remembers no properties."""
    async with running(tmp_path / "home") as run:
        allocator = run.service.owners.allocator
        await run.store.commit(
            [*allocator.create("tapes", run.service.owners.allocator.default().on_exhaustion, True)]
        )
        amend(run.home.config, {GROUP: "default"})
        before = run.service.keyset.start(None)
        assert before == []
        assert Settings.load(run.home.config, {})[GROUP] == "tapes"
        assert GROUP not in await degraded(run)


async def test_the_environment_says_which_group_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "home") as run:
        await create_group(run, "tapes")
    monkeypatch.setenv("QEKM_PROPERTY_symmetricKeySet", "tapes")
    async with running(tmp_path / "home") as run:
        assert run.service.owners.allocator.default().name == "tapes"
        request = groups_pb2.UpdateGroupRequest(group=groups_pb2.Group(name="default", is_default=True))
        request.update_mask.paths.append("is_default")
        with pytest.raises(GroupInUse, match="QEKM_PROPERTY_symmetricKeySet"):
            await run.client.groups.UpdateGroup(request)
        response = await update(run, symmetricKeySet="default")
        assert "in the environment" in response.notes[0]
        assert run.service.owners.allocator.default().name == "tapes"


# The drive table.


async def look(run: Running) -> None:
    """Have the drive table written if it is time."""
    await run.service.drive_table.settle()
    await run.service.drive_table.tick()
    await run.service.drive_table.settle()


async def until_written(path: Path, serials: list[str]) -> str:
    """Wait for a table of these drives."""

    def written() -> bool:
        return path.exists() and [entry.serial for entry in parse(path.read_text())] == serials

    await until(written, f"{path} has not {serials}")
    return path.read_text()


async def test_the_drive_table_is_written_after_each_change_and_at_the_end(tmp_path: Path) -> None:
    url = f"FILE://{tmp_path}/tables/drives.csv"
    async with running(tmp_path / "home", config__drivetable__file__url=url) as run:
        path = tmp_path / "tables" / "drives.csv"
        drive = drives_pb2.Drive(serial="1300000392", wwnn=bytes(range(8)), vendor="QUANTUM", group="default")
        await run.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drive))
        text = await until_written(path, ["001300000392"])
        assert "001300000392,0001020304050607,QUANTUM,,default," in text
        assert path.stat().st_mode & 0o777 == 0o600
        await run.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drives_pb2.Drive(serial="B")))
    await until_written(path, ["001300000392", "B"])


@pytest.mark.parametrize("trap", ["pipe", "link", "dangling", "directory"])
async def test_whoever_may_write_beside_the_drive_table_leads_it_nowhere(tmp_path: Path, trap: str) -> None:
    path, other = tmp_path / "drives.csv", tmp_path / "other"
    if trap == "pipe":
        os.mkfifo(path)
    elif trap == "directory":
        path.mkdir()
    else:
        path.symlink_to(other)
    if trap == "link":
        other.write_bytes(HEAD)
    async with running(tmp_path / "home", config__drivetable__file__url=str(path)) as run:
        async with asyncio.timeout(PATIENCE_S):
            await look(run)
        assert "the drive table is not written" in await degraded(run)
        assert (other.read_bytes() if other.exists() else HEAD) == HEAD
        assert other.exists() == (trap == "link")


async def test_a_drive_table_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(b"\x00binary\x01")
    async with running(tmp_path / "home", config__drivetable__file__url=f"{tmp_path}/original") as run:
        await look(run)
        told = f"the drive table is not written: {tmp_path}/original is there already, and no drive table"
        assert told in await degraded(run)
        assert (tmp_path / "original").read_bytes() == b"\x00binary\x01"
        amend(run.home.config, {URL: f"{tmp_path}/original/x"})
        await run.client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest())
        await look(run)
        assert "Not a directory" in await degraded(run)
        amend(run.home.config, {URL: "table.csv"})
        await run.client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest())
        await look(run)
        assert (run.home.path / "table.csv").exists()
        assert "drive table" not in await degraded(run)
        (run.home.path / "table.csv").unlink()
        await look(run)
        assert not (run.home.path / "table.csv").exists(), "nothing has changed: nothing is written"
