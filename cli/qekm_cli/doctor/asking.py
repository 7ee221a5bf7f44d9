"""Everything that a service is asked for, by the doctor and for the bundle: plain values."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from qekm.errors import NotAllowed
from qekm_cli.render import Plain, pages, plain

if TYPE_CHECKING:
    from qekm.client import Client

_SECONDS = 5.0
_MOST_GROUPS = 1_000


def ask(client: Client) -> Plain:
    """Return status, groups and servers of the estate; PasswordNeeded, NotAllowed, ServiceAway."""
    from qekm.v1 import groups_pb2, peers_pb2, server_pb2

    status = client.server.GetStatus(server_pb2.GetStatusRequest(), timeout=_SECONDS)
    found = client.peers.ListPeers(peers_pb2.ListPeersRequest(), timeout=_SECONDS).peers
    groups = islice(pages(client.groups.ListGroups, groups_pb2.ListGroupsRequest(), "groups"), _MOST_GROUPS)
    return {"status": plain(status), "peers": [*map(plain, found)], "groups": [*map(plain, groups)]}


def records(client: Client, count: int) -> list[Plain]:
    """Return the newest audit records, the newest last; none to who may not see them."""
    from qekm.v1 import audit_pb2 as pb

    request = pb.ListRecordsRequest(newest_first=True)
    try:
        found = list(islice(pages(client.audit.ListRecords, request, "records", count), count))
    except NotAllowed:
        return []
    return [plain(each) for each in reversed(found)]
