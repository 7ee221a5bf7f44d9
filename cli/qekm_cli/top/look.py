"""One look at the service: what a picture is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qekm.errors import NotAllowed
from qekm_cli.render import Plain, plain

if TYPE_CHECKING:
    from qekm.client import Client

SECONDS = 5.0  # a service that takes longer to say how it is, is not well
GROUPS = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What the service said, as plain values. at_s: its own time, in seconds since 1970."""

    status: Plain
    activity: Plain
    groups: list[Plain]
    peers: list[Plain]
    at_s: float


def look(client: Client) -> Look:
    """Ask the service how it is; ServiceAway, PasswordNeeded, NotAllowed."""
    from qekm.v1 import groups_pb2, peers_pb2, report_pb2, server_pb2

    activity = client.report.GetActivity(report_pb2.GetActivityRequest(), timeout=SECONDS)
    status = client.server.GetStatus(server_pb2.GetStatusRequest(), timeout=SECONDS)
    groups = client.groups.ListGroups(groups_pb2.ListGroupsRequest(page_size=GROUPS), timeout=SECONDS)
    try:
        peers = list(client.peers.ListPeers(peers_pb2.ListPeersRequest(), timeout=SECONDS).peers)
    except NotAllowed:  # an older service may keep that from a role
        peers = []
    return Look(
        plain(status),
        plain(activity),
        [plain(each) for each in groups.groups],
        [plain(each) for each in peers],
        activity.time.ToMicroseconds() / 1e6,
    )
