"""createkeygroup, addkeygroup, addkeygroupalias, addaliastogroup, delgroupalias, deletegroup.

In the original a key may be listed in several groups. Here it is in exactly one, so that what is given out is
never given twice: to put it into a group moves it, to take it out moves it to the default group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm.errors import BadArgument, GroupInUse
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Plain, done, pages, plain

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()

Group = Annotated[str, typer.Option("-groupID", help="Name of the group.", metavar="NAME")]
Alias = Annotated[str, typer.Option("-alias", help="Alias of a never-used key.", metavar="ALIAS")]


@app.command("createkeygroup")
def create_groups(
    context: typer.Context,
    password: Annotated[str | None, typer.Option("-password", help="Refused.", metavar="PASSWORD")] = None,
) -> None:
    """Tell that key groups need no file of their own."""
    from qekm.v1 import groups_pb2 as pb

    if password is not None:
        raise BadArgument(
            "-password: groups are protected as the keystore is, and others can read a command line",
            hint="leave it out; groups are made with: qekm addkeygroup",
            field="password",
        )
    with client_of(context) as client:
        groups = [plain(each) for each in pages(client.groups.ListGroups, pb.ListGroupsRequest(), "groups")]
    done(context, {"groups": groups}, f"key groups need no file here; there are {len(groups)}")


@app.command("addkeygroup")
def add_group(context: typer.Context, group: Group) -> None:
    """Make an empty key group."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        request = pb.CreateGroupRequest(group=pb.Group(name=group))
        row = plain(client.groups.CreateGroup(request).group)
    done(context, row, f"group {group} made")


@app.command("addkeygroupalias")
def add_key(context: typer.Context, alias: Alias, group: Group) -> None:
    """Put a never-used key into a group."""
    with client_of(context) as client:
        row = _move(client, alias, group)
    done(context, row, f"key {alias} moved to group {group}")


@app.command("addaliastogroup")
def move_key(
    context: typer.Context,
    alias: Annotated[str, typer.Option("-aliasID", help="Alias of a never-used key.", metavar="ALIAS")],
    source_group: Annotated[str, typer.Option("-sourceGroupID", help="Group it is in.", metavar="NAME")],
    target_group: Annotated[
        str, typer.Option("-targetGroupID", help="Group to put it into.", metavar="NAME")
    ],
) -> None:
    """Put a never-used key of one group into another, and out of the first."""
    with client_of(context) as client:
        _check_group(client, alias, source_group)
        row = _move(client, alias, target_group)
    done(context, row, f"key {alias} moved from group {source_group} to group {target_group}")


@app.command("delgroupalias")
def remove_key(context: typer.Context, group: Group, alias: Alias) -> None:
    """Take a never-used key out of a group, to the default group."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        _check_group(client, alias, group)
        found = pages(client.groups.ListGroups, pb.ListGroupsRequest(), "groups")
        default = next(each.name for each in found if each.is_default)
        if default == group:
            raise GroupInUse(
                f"{group} is the default group, which has the keys that are in no other",
                hint="move the key with: qekm groups move; or have it never given out: qekm keys deactivate",
                group=group,
            )
        row = _move(client, alias, default)
    done(context, row, f"key {alias} moved from group {group} to the default group, {default}")


@app.command("deletegroup")
def delete_group(context: typer.Context, group: Group) -> None:
    """Remove a group that holds no key, is no drive's and is not the default."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        client.groups.DeleteGroup(pb.DeleteGroupRequest(name=group))
    done(context, {"name": group}, f"group {group} removed")


def _check_group(client: Client, alias: str, group: str) -> None:
    """Refuse a key that is in another group than was said. UnknownKey, UnknownGroup, BadArgument."""
    from qekm.v1 import groups_pb2, keystore_pb2

    client.groups.GetGroup(groups_pb2.GetGroupRequest(name=group))
    key: Any = client.keystore.GetKey(keystore_pb2.GetKeyRequest(alias=alias)).key
    if key.group != group:
        hint = f"look at it with: qekm keys show {key.alias}"
        raise BadArgument(
            f"key {key.alias} is in group {key.group}, not in {group}", hint=hint, field="alias"
        )


def _move(client: Client, alias: str, group: str) -> Plain:
    from qekm.v1 import groups_pb2 as pb

    return plain(client.groups.MoveKeys(pb.MoveKeysRequest(group=group, aliases=[alias])).group)
