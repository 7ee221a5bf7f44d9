"""The fake of the groups service."""

from __future__ import annotations

from typing import Any

from qekm.errors import GroupExists, GroupInUse, UnknownGroup
from qekm.v1 import groups_pb2

from .parts import moment, page_of


class FakeGroups:
    """Groups."""

    def __init__(self) -> None:
        refill, refuse = groups_pb2.ON_EXHAUSTION_REFILL, groups_pb2.ON_EXHAUSTION_REFUSE
        made = moment()
        groups = [
            groups_pb2.Group(name="archive", on_exhaustion=refuse, key_count=1),
            groups_pb2.Group(
                name="default", on_exhaustion=refill, is_default=True, key_count=5, ready_count=4
            ),
            groups_pb2.Group(name="empty", on_exhaustion=refill),
        ]
        for group in groups:
            group.create_time.CopyFrom(made)
        self.groups = {group.name: group for group in groups}
        self.moved: list[str] = []

    def _find(self, name: str) -> Any:
        if name not in self.groups:
            raise UnknownGroup(f"no group is called {name!r}")
        return self.groups[name]

    def ListGroups(self, request: Any) -> Any:
        """Answer a page of groups."""
        groups, token = page_of(list(self.groups.values()), request)
        return groups_pb2.ListGroupsResponse(groups=groups, next_page_token=token)

    def GetGroup(self, request: Any) -> Any:
        """Find a group."""
        return groups_pb2.GetGroupResponse(group=self._find(request.name))

    def CreateGroup(self, request: Any) -> Any:
        """Make a group."""
        if request.group.name in self.groups:
            raise GroupExists(f"a group {request.group.name!r} exists")
        self.groups[request.group.name] = request.group
        return groups_pb2.CreateGroupResponse(group=request.group)

    def UpdateGroup(self, request: Any) -> Any:
        """Change what the mask names."""
        group = self._find(request.group.name)
        for path in request.update_mask.paths:
            setattr(group, path, getattr(request.group, path))
        return groups_pb2.UpdateGroupResponse(group=group)

    def DeleteGroup(self, request: Any) -> Any:
        """Remove an empty group."""
        if self._find(request.name).key_count:
            raise GroupInUse(f"group {request.name!r} holds keys")
        del self.groups[request.name]
        return groups_pb2.DeleteGroupResponse()

    def MoveKeys(self, request: Any) -> Any:
        """Note which keys were moved."""
        self.moved += request.aliases
        return groups_pb2.MoveKeysResponse(group=self._find(request.group))
