"""The fake of the peers service."""

from __future__ import annotations

from typing import Any

from qekm.errors import NoPeer, PeerExists, PeerRefused, SameSubject, UnknownPeer
from qekm.v1 import peers_pb2 as pb

from .parts import moment

OWN, OTHERS = bytes(range(32)), bytes(range(32, 64))


def own() -> pb.Peer:
    """Return the server that answers."""
    return pb.Peer(
        name="server",
        address="ekm1:443",
        state=pb.PEER_STATE_JOINED,
        role=pb.PEER_ROLE_PRIMARY,
        self=True,
        spki_sha256=OWN,
        join_time=moment(),
    )


def other(**more: Any) -> pb.Peer:
    """Return another server, joined and connected unless said otherwise."""
    fields: dict[str, Any] = {
        "name": "b",
        "address": "ekm2:443",
        "state": pb.PEER_STATE_JOINED,
        "role": pb.PEER_ROLE_SECONDARY,
        "spki_sha256": OTHERS,
        "connected": True,
        "lag_records": 1_234,
        "lag_seconds": 2.25,
        "ready_keys": 700,
        "version": "0.4.0",
        "compare_time": moment(),
        "heard_time": moment(),
    }
    return pb.Peer(**{**fields, **more})


class FakePeers:
    """The servers of an estate: none until one is invited or put there."""

    def __init__(self) -> None:
        self.peers: list[pb.Peer] = []
        self.accepted: list[pb.AcceptPeerRequest] = []
        self.invited: list[pb.InvitePeerRequest] = []
        self.repaired: list[bool] = []
        self.alone = False  # whether who invited may not accept

    def InvitePeer(self, request: Any) -> Any:
        """Invite a server."""
        if any(peer.name == request.name for peer in self.peers):
            raise PeerExists(f"a server {request.name} is invited already", peer=request.name)
        self.invited.append(request)
        self.peers += [own(), pb.Peer(name=request.name, state=pb.PEER_STATE_INVITED)]
        return pb.InvitePeerResponse(invitation=b"an invitation", spki_sha256=OWN, expire_time=moment(86_400))

    def AcceptPeer(self, request: Any) -> Any:
        """Let the one in whose fingerprint it is."""
        if request.spki_sha256 != OTHERS:
            raise PeerRefused("the server that waits has a key of another fingerprint", peer=request.name)
        if self.alone:
            raise SameSubject("administrator/alice asked for this and cannot approve it")
        self.accepted.append(request)
        return pb.AcceptPeerResponse(peer=other(name=request.name))

    def ListPeers(self, request: Any, timeout: float | None = None) -> Any:
        """List all."""
        return pb.ListPeersResponse(peers=self.peers)

    def RemovePeer(self, request: Any) -> Any:
        """Remove one."""
        found = [peer for peer in self.peers if peer.name == request.name]
        if not found:
            raise UnknownPeer(f"the estate has no server {request.name!r}", peer=request.name)
        self.peers.remove(found[0])
        return pb.RemovePeerResponse()

    def RejoinPeers(self, request: Any) -> Any:
        """Keep apart from nobody any more."""
        apart = [peer for peer in self.peers if peer.apart]
        if not apart:
            raise NoPeer("this server keeps apart from no other")
        for peer in apart:
            peer.apart = False
        return pb.RejoinPeersResponse(peers=apart)

    def SyncPeers(self, request: Any, timeout: float | None = None) -> Any:
        """Compare with all others."""
        others = [peer for peer in self.peers if not peer.self]
        if not others:
            raise NoPeer("there is no second server to synchronise with")
        self.repaired.append(request.repair)
        return pb.SyncPeersResponse(peers=others)
