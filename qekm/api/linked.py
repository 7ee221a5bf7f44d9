"""A server of the estate as its message: what its row says, and how the link to it is."""

from __future__ import annotations

from typing import Protocol

from qekm.api.fields import stamp
from qekm.model import Peer, PeerState
from qekm.peers import Peers
from qekm.replication.link import LinkStatus
from qekm.replication.messages import Pipe
from qekm.v1 import peers_pb2 as pb


class Links(Protocol):
    """The links to all other servers."""

    def status(self, name: str) -> LinkStatus | None:
        """Return how the link to a server is; None while there never was one."""

    async def called(self, name: str, pipe: Pipe) -> None:
        """Serve another server that has called, until the stream ends; PeerRefused, BatchRefused."""

    async def compare(self, repair: bool) -> None:
        """Compare the store with those of all others now, and return when it is done. PeerAway."""


def to_proto(peer: Peer, peers: Peers, links: Links | None) -> pb.Peer:
    """Return a server as its message."""
    joined = peer.state is PeerState.JOINED
    role = pb.PEER_ROLE_PRIMARY if peers.is_primary(peer) else pb.PEER_ROLE_SECONDARY
    told = pb.Peer(
        name=peer.name,
        address=peer.address,
        state=pb.PeerState.ValueType(peer.state),
        role=role if joined else pb.PEER_ROLE_UNSPECIFIED,
        self=peer.name == peers.own_name,
        apart=peers.is_apart(peer),
        instance=peer.instance,
        epoch=peer.epoch,
        spki_sha256=peer.spki_sha256,
        create_time=stamp(peer.create_time_us),
        join_time=stamp(peer.join_time_us),
    )
    status = links.status(peer.name) if links is not None and joined and not told.self else None
    if status is not None:
        _fill(told, status)
    return told


def _fill(told: pb.Peer, status: LinkStatus) -> None:
    """Put what is known of a link into a message."""
    link = pb.Peer(
        connected=status.connected,
        lag_records=status.lag_records,
        lag_seconds=status.lag_seconds,
        behind_records=status.behind_records,
        heard_time=stamp(status.heard_time_us),
        last_error=status.last_error,
        error_time=stamp(status.error_time_us),
        compare_time=stamp(status.compare_time_us),
        differences=status.differences,
        ready_keys=status.ready_keys,
        version=status.version,
        refused=status.refused,
    )
    told.MergeFrom(link)
