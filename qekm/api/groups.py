"""GroupsService: key groups over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

from qekm.allocator import Allocator
from qekm.api.fields import chosen, paths_of, stamp
from qekm.api.journal import Journal
from qekm.api.paging import Paged, cut
from qekm.configuration.keyset import KeySet
from qekm.configuration.owner import Changed
from qekm.drives import Registry
from qekm.errors import BadArgument, QekmError
from qekm.model import Change, Group, OnExhaustion
from qekm.v1 import groups_pb2 as pb
from qekm.v1.groups_pb2_grpc import GroupsServiceServicer

MOST_MOVED = 10_000  # aliases a call; they are moved in one transaction


class GroupsServicer(GroupsServiceServicer):
    """Thin: names and policies in, groups with their counts out."""

    def __init__(self, allocator: Allocator, registry: Registry, journal: Journal, keyset: KeySet) -> None:
        self._allocator = allocator
        self._registry = registry
        self._journal, self._keyset = journal, keyset

    async def ListGroups(self, request: pb.ListGroupsRequest, context: Any) -> pb.ListGroupsResponse:
        """List groups by name."""
        page = Paged.of(request)
        rows, token = cut(page, self._allocator.page(page.text, page.size + 1), lambda group: group.name)
        return pb.ListGroupsResponse(groups=map(self._to_proto, rows), next_page_token=token)

    async def GetGroup(self, request: pb.GetGroupRequest, context: Any) -> pb.GetGroupResponse:
        """Return one group; UnknownGroup."""
        return pb.GetGroupResponse(group=self._told(request.name))

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: Any) -> pb.CreateGroupResponse:
        """Make an empty group; GroupExists, BadArgument."""
        group = request.group
        policy = chosen(OnExhaustion, group.on_exhaustion, "on_exhaustion", OnExhaustion.REFILL)
        what = f"group {group.name}, {policy.name}"
        if group.is_default:  # to its end, even if the caller goes
            await asyncio.shield(self._create_default(group.name, policy, f"{what}, the default"))
            return pb.CreateGroupResponse(group=self._told(group.name))
        await self._journal.commit("CreateGroup", self._allocator.create(group.name, policy), message=what)
        return pb.CreateGroupResponse(group=self._told(group.name))

    async def UpdateGroup(self, request: pb.UpdateGroupRequest, context: Any) -> pb.UpdateGroupResponse:
        """Change a group's policy or make it the default; UnknownGroup, GroupInUse, BadArgument."""
        group = request.group
        paths = paths_of(request.update_mask, ("on_exhaustion", "is_default"))
        policy = chosen(OnExhaustion, group.on_exhaustion, "on_exhaustion", OnExhaustion.REFILL)
        new = policy if "on_exhaustion" in paths else None
        what = f"group {group.name}: {', '.join(sorted(paths))}"
        present = self._allocator.find(group.name)
        if "is_default" in paths and group.is_default and not present.is_default:
            await self._make_default(group.name, "UpdateGroup", what, new)
            return pb.UpdateGroupResponse(group=self._told(group.name))
        is_default = group.is_default if "is_default" in paths else None
        changes = self._allocator.update(group.name, new, is_default)
        await self._journal.commit("UpdateGroup", changes, message=what)
        return pb.UpdateGroupResponse(group=self._told(group.name))

    async def DeleteGroup(self, request: pb.DeleteGroupRequest, context: Any) -> pb.DeleteGroupResponse:
        """Remove a group that is nobody's; UnknownGroup, GroupInUse."""
        async with self._keyset.still():  # else it could be about to become the default
            changes = self._allocator.delete(request.name, self._registry.names_group(request.name))
            await self._journal.commit("DeleteGroup", changes, message=f"group {request.name}")
        return pb.DeleteGroupResponse()

    async def MoveKeys(self, request: pb.MoveKeysRequest, context: Any) -> pb.MoveKeysResponse:
        """Put never-used keys into another group, all or none; UnknownGroup, UnknownKey, KeyInUse."""
        if not 1 <= len(request.aliases) <= MOST_MOVED:
            told = f"{len(request.aliases)} aliases; a call moves 1 to {MOST_MOVED:,}"
            raise BadArgument(told, field="aliases")
        changes = self._allocator.move(request.aliases, request.group)
        what = f"{len(changes)} keys to group {request.group}: {request.aliases[0]} to {request.aliases[-1]}"
        await self._journal.commit("MoveKeys", changes, message=what)
        return pb.MoveKeysResponse(group=self._told(request.group))

    async def _create_default(self, name: str, policy: OnExhaustion, message: str) -> None:
        self._allocator.create(name, policy)
        try:
            await self._make_default(name, "CreateGroup", message)
        except QekmError:
            if not self._allocator.find(name).is_default:  # the store did not fail, which ends the service
                self._allocator.delete(name)
            raise

    async def _make_default(
        self, name: str, method: str, message: str, policy: OnExhaustion | None = None
    ) -> None:
        """Make a group the default in store and file; its policy and the record of the call in one unit."""

        def records(_changed: Changed) -> list[Change]:
            return [*self._allocator.update(name, policy), self._journal.record(method, message)]

        await self._keyset.make_default(name, records)

    def _told(self, name: str) -> pb.Group:
        return self._to_proto(self._allocator.find(name))

    def _to_proto(self, group: Group) -> pb.Group:
        held, ready = self._allocator.counts(group.name)
        return pb.Group(
            name=group.name,
            on_exhaustion=pb.OnExhaustion.ValueType(group.on_exhaustion),
            is_default=group.is_default,
            key_count=held,
            ready_count=ready,
            create_time=stamp(group.create_time_us),
            pool_count=self._allocator.pool(group.name),
            low=self._allocator.is_low(group.name, self._registry.names_group),
        )
