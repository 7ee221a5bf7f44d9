"""GroupsService over the wire."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from qekm.errors import BadArgument, GroupExists, GroupInUse, KeyInUse, QekmError, UnknownGroup, UnknownKey
from qekm.model import KeyState
from qekm.v1 import drives_pb2, keystore_pb2
from qekm.v1 import groups_pb2 as pb
from tests.qekm.api.running import Running


def update(paths: list[str], **fields: object) -> pb.UpdateGroupRequest:
    """Return a request that changes these paths."""
    return pb.UpdateGroupRequest(group=pb.Group(**fields), update_mask=FieldMask(paths=paths))  # type: ignore[arg-type]


async def create(run: Running, name: str, **fields: object) -> pb.Group:
    """Make a group."""
    request = pb.CreateGroupRequest(group=pb.Group(name=name, **fields))  # type: ignore[arg-type]
    return (await run.client.groups.CreateGroup(request)).group


async def test_the_default_group_holds_all_keys_of_a_new_keystore(run: Running) -> None:
    (group,) = (await run.client.groups.ListGroups(pb.ListGroupsRequest())).groups
    assert (group.name, group.is_default, group.key_count, group.ready_count) == ("default", True, 64, 64)
    assert group.on_exhaustion == pb.ON_EXHAUSTION_REFILL
    assert group.HasField("create_time")


async def test_a_group_is_made_changed_and_deleted_and_each_is_on_disk_and_in_the_trail(run: Running) -> None:
    made = await create(run, "archive", on_exhaustion=pb.ON_EXHAUSTION_REFUSE)
    assert (made.name, made.key_count, made.is_default) == ("archive", 0, False)
    request = update(["on_exhaustion"], name="archive", on_exhaustion=pb.ON_EXHAUSTION_REUSE)
    changed = (await run.client.groups.UpdateGroup(request)).group
    assert changed.on_exhaustion == pb.ON_EXHAUSTION_REUSE
    assert {group.name for group in run.store.load().groups} == {"archive", "default"}
    await run.client.groups.DeleteGroup(pb.DeleteGroupRequest(name="archive"))
    assert {group.name for group in run.store.load().groups} == {"default"}
    events = [record.event for record in await run.records()][-3:]
    assert events == ["rpc.CreateGroup", "rpc.UpdateGroup", "rpc.DeleteGroup"]


async def test_another_group_becomes_the_default_and_the_old_one_stops_being_it(run: Running) -> None:
    await create(run, "next")
    await run.client.groups.UpdateGroup(update(["is_default"], name="next", is_default=True))
    groups = (await run.client.groups.ListGroups(pb.ListGroupsRequest())).groups
    assert {group.name: group.is_default for group in groups} == {"default": False, "next": True}
    assert {group.name for group in run.store.load().groups if group.is_default} == {"next"}


async def test_groups_are_listed_by_name_a_page_at_a_time(run: Running) -> None:
    for name in ("c", "a", "b"):
        await create(run, name)
    first = await run.client.groups.ListGroups(pb.ListGroupsRequest(page_size=3))
    rest = await run.client.groups.ListGroups(pb.ListGroupsRequest(page_token=first.next_page_token))
    assert [group.name for group in (*first.groups, *rest.groups)] == ["a", "b", "c", "default"]


async def test_never_used_keys_move_and_used_ones_do_not(run: Running) -> None:
    await create(run, "archive")
    keys = (await run.client.keystore.ListKeys(keystore_pb2.ListKeysRequest())).keys
    moved = [key.alias for key in keys[:2]]
    request = pb.MoveKeysRequest(group="archive", aliases=moved)
    assert (await run.client.groups.MoveKeys(request)).group.key_count == 2
    assert {key.alias for key in run.store.load().keys if key.group == "archive"} == set(moved)
    owner = run.service.owners.keystore
    owner.assign(owner.by_alias(keys[5].alias), 1, ("001300000392", b"", ""))
    with pytest.raises(KeyInUse):
        await run.client.groups.MoveKeys(pb.MoveKeysRequest(group="archive", aliases=[keys[5].alias]))
    assert owner.by_alias(keys[5].alias).state is KeyState.ASSIGNED


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.GetGroupRequest(name="none"), UnknownGroup),
        (pb.CreateGroupRequest(group=pb.Group(name="default")), GroupExists),
        (pb.CreateGroupRequest(group=pb.Group(name="with space")), BadArgument),
        (pb.CreateGroupRequest(group=pb.Group(name="")), BadArgument),
        (pb.CreateGroupRequest(group=pb.Group(name="x", on_exhaustion=9)), BadArgument),  # type: ignore[arg-type]
        (pb.CreateGroupRequest(), BadArgument),
        (update(["name"], name="default"), BadArgument),
        (update([], name="default"), BadArgument),
        (update(["is_default"], name="default"), GroupInUse),
        (update(["is_default"], name="none"), UnknownGroup),
        (pb.DeleteGroupRequest(name="default"), GroupInUse),
        (pb.DeleteGroupRequest(name="none"), UnknownGroup),
        (pb.MoveKeysRequest(group="none", aliases=["QKM00000000000000FFFF"]), UnknownGroup),
        (pb.MoveKeysRequest(group="default", aliases=["QKM00000000000000FFFF"]), UnknownKey),
        (pb.MoveKeysRequest(group="default"), BadArgument),
        (pb.MoveKeysRequest(group="default", aliases=["x"] * 10_001), BadArgument),
    ],
)
async def test_bad_requests_are_refused_and_change_nothing(
    run: Running, request_: object, error: type[QekmError]
) -> None:
    method = type(request_).__name__.removesuffix("Request")
    before = await run.records()
    with pytest.raises(error):
        await getattr(run.client.groups, method)(request_)
    assert await run.records() == before


async def test_a_group_that_a_drive_names_is_not_deleted(run: Running) -> None:
    await create(run, "archive")
    drive = drives_pb2.Drive(serial="001300000392", allowed_groups=["archive"])
    await run.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drive))
    with pytest.raises(GroupInUse, match="drive"):
        await run.client.groups.DeleteGroup(pb.DeleteGroupRequest(name="archive"))
