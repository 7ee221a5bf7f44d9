"""`qekm groups`: key groups and what they do when all their keys were used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, done, listing, pages, plain, record

app = Noun()

Policy = Literal["refill", "reuse", "refuse"]
Name = Annotated[str, typer.Argument(help="Name of the group.", metavar="NAME")]
PolicyOption = Annotated[
    Policy | None,
    typer.Option(help="When all keys were used: make new ones, give used ones out again, or refuse."),
]
LIST = (
    Column("NAME", "name"),
    Column("DEFAULT", "is_default"),
    Column("KEYS", "key_count"),
    Column("READY", "ready_count"),
    Column("ON EXHAUSTION", "on_exhaustion"),
)
SHOW = (
    Column("Name", "name"),
    Column("Default", "is_default"),
    Column("Keys", "key_count"),
    Column("Ready", "ready_count"),
    Column("On exhaustion", "on_exhaustion"),
    Column("Made", "create_time"),
)


def _number(policy: Policy | None) -> Any:
    from qekm.v1 import groups_pb2 as pb

    return pb.OnExhaustion.Value(f"ON_EXHAUSTION_{policy.upper() if policy else 'UNSPECIFIED'}")


@app.command("list")
def list_groups(context: typer.Context) -> None:
    """List groups by name."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        groups = pages(client.groups.ListGroups, pb.ListGroupsRequest(), "groups")
        listing(context, "groups", map(plain, groups), LIST)


@app.command("show")
def show_group(context: typer.Context, name: Name) -> None:
    """Show one group."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        record(context, plain(client.groups.GetGroup(pb.GetGroupRequest(name=name)).group), SHOW)


@app.command("create")
def create_group(context: typer.Context, name: Name, on_exhaustion: PolicyOption = None) -> None:
    """Make an empty group."""
    from qekm.v1 import groups_pb2 as pb

    group = pb.Group(name=name, on_exhaustion=_number(on_exhaustion))
    with client_of(context) as client:
        made = plain(client.groups.CreateGroup(pb.CreateGroupRequest(group=group)).group)
    done(context, made, f"group {name} made")


@app.command("modify")
def modify_group(
    context: typer.Context,
    name: Name,
    on_exhaustion: PolicyOption = None,
    default: Annotated[bool, typer.Option("--default", help="Make it the default group.")] = False,
) -> None:
    """Change a group's policy, or make it the default."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from qekm.v1 import groups_pb2 as pb

    chosen = {"on_exhaustion": on_exhaustion is not None, "is_default": default}
    mask = FieldMask(paths=[path for path, wanted in chosen.items() if wanted])
    if not mask.paths:
        raise typer.BadParameter("nothing to change: give --on-exhaustion or --default", ctx=context)
    group = pb.Group(name=name, on_exhaustion=_number(on_exhaustion), is_default=default)
    with client_of(context) as client:
        changed = plain(client.groups.UpdateGroup(pb.UpdateGroupRequest(group=group, update_mask=mask)).group)
    done(context, changed, f"group {name} changed")


@app.command("delete")
def delete_group(context: typer.Context, name: Name) -> None:
    """Remove a group that holds no key, is no drive's and is not the default."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        client.groups.DeleteGroup(pb.DeleteGroupRequest(name=name))
    done(context, {"name": name}, f"group {name} removed")


@app.command("move")
def move_keys(
    context: typer.Context,
    name: Name,
    aliases: Annotated[list[str], typer.Argument(help="Aliases of never-used keys.", metavar="ALIAS...")],
) -> None:
    """Put never-used keys into a group."""
    from qekm.v1 import groups_pb2 as pb

    with client_of(context) as client:
        group = plain(client.groups.MoveKeys(pb.MoveKeysRequest(group=name, aliases=aliases)).group)
    keys = "1 key" if len(aliases) == 1 else f"{len(aliases)} keys"
    done(context, group, f"{keys} moved to group {name}")
