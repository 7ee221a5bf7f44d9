"""PeersService: servers come into the estate and go; replication.py has what they do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from qekm.api.admitting import Admitting
from qekm.api.candidates import Candidate, Candidates
from qekm.api.consent import OFF
from qekm.api.fields import one_line, sized, stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.linked import Links, to_proto
from qekm.api.proofs import Proofs
from qekm.api.replication import replicate
from qekm.approvals import Act
from qekm.audit import occurred
from qekm.errors import NoPeer, NotWaiting, PeerAway, PeerRefused, UnknownPeer
from qekm.model import Approval, Certificate, Change, Outcome, Peer, PeerState, Role, Slot
from qekm.peers import check_address
from qekm.pki import SKEW_US, read_request
from qekm.rpc.welcomes import parts_of
from qekm.rpc.welcomes import to_proto as welcome_to_proto
from qekm.signing import spki_sha256
from qekm.v1 import peers_pb2 as pb
from qekm.v1.peers_pb2_grpc import PeersServiceServicer
from qekm.welcome import PUBLIC_LENGTH

_SIGN_S = 5.0  # between two signs of life to a server that waits
_VERSION_LENGTH = 40


class PeersServicer(PeersServiceServicer):
    """Thin: the owner decides, the journal commits; of a server that waits it holds the call."""

    def __init__(self, admitting: Admitting, journal: Journal, proofs: Proofs, links: Links | None) -> None:
        """Take what puts the owners' parts together; links: None where nothing is replicated."""
        self._admitting, self._journal, self._proofs, self._links = admitting, journal, proofs, links
        self._peers, self._approvals = admitting.owners.peers, admitting.owners.approvals
        self._store, self._now_us = admitting.store, admitting.now_us
        self._candidates = Candidates()

    async def InvitePeer(self, request: pb.InvitePeerRequest, context: Any) -> pb.InvitePeerResponse:
        """Make an invitation, and keep a journal from now on; PeerExists, BadArgument."""
        name, hosts = request.name, tuple(request.hosts)
        address = check_address(request.address, "address")
        own_address = self._admitting.own_address(check_address(request.own_address, "own_address"))
        self._admitting.check(name, hosts)
        await self._store.begin_journal()
        invitation, changes = self._admitting.invite(name, hosts, address, own_address)
        if self._approvals.two_person:
            changes.append(self._approvals.ask(_act(name), caller().actor))
        what = f"server {name}, which finds this one at {own_address}"
        await self._journal.commit("InvitePeer", changes, message=what)
        with invitation.key:
            return pb.InvitePeerResponse(
                invitation=invitation.dump(),
                spki_sha256=invitation.fingerprint,
                expire_time=stamp(invitation.expire_time_us),
            )

    async def JoinEstate(
        self, request: pb.JoinEstateRequest, context: Any
    ) -> AsyncIterator[pb.JoinEstateResponse]:
        """Have a server wait until it is accepted, then welcome it; PeerRefused, BadCertificate."""
        own = caller()
        try:
            self._peers.check_invited(own.name, self._now_us())
        except (NotWaiting, UnknownPeer) as error:  # refused, so that it is recorded
            raise PeerRefused(error.message, peer=own.name) from None
        key = read_request(request.certificate_request)
        sized(request.wrapping_key, (PUBLIC_LENGTH,), "wrapping_key")
        version = one_line(request.version, "version", _VERSION_LENGTH)
        candidate = Candidate(own, key, spki_sha256(key), request.wrapping_key, version)
        with self._candidates.wait(candidate):
            what = f"{own.name} waits to be let in; key {candidate.spki_sha256.hex()}, version {version}"
            await self._store.commit(
                [occurred(self._now_us(), "peer.join", own.actor, Outcome.INTENT, message=what)]
            )
            while not candidate.welcome.done():
                yield pb.JoinEstateResponse()
                await asyncio.wait([candidate.welcome], timeout=_SIGN_S)
            for part in parts_of(candidate.welcome.result()):
                yield pb.JoinEstateResponse(welcome=part)
            candidate.end(taken=True)

    async def AcceptPeer(self, request: pb.AcceptPeerRequest, context: Any) -> pb.AcceptPeerResponse:
        """Let a server in that waits: it gets the root key, and a certificate of a server.

        UnknownPeer, NotWaiting, PeerRefused for another fingerprint, SameSubject for who invited it, PeerAway
        if it goes away meanwhile, and as Proofs.open.
        """
        name = request.name
        self._look(name, request.spki_sha256)
        slot, root = await self._proofs.open("AcceptPeer", request.proof)
        with root:
            candidate = self._look(name, request.spki_sha256)  # meanwhile it may have gone
            wrapped, wrapping_key = self._admitting.wrapped(candidate, root)
        # To its end, even if the caller leaves: half of it would be a server that nobody has welcomed.
        peer = await asyncio.shield(asyncio.create_task(self._let_in(candidate, slot, wrapped, wrapping_key)))
        return pb.AcceptPeerResponse(peer=to_proto(peer, self._peers, self._links))

    async def _let_in(self, candidate: Candidate, slot: Slot, wrapped: bytes, wrapping_key: bytes) -> Peer:
        """Make a server of the estate of who waits, and welcome it; PeerAway, and then it is none."""
        name = candidate.identity.name
        consent, note = self._consent(name)
        peer, issued, changes = self._admitting.accept(candidate)
        what = f"server {name}, key {peer.spki_sha256.hex()}, opened with slot {slot.name}; {note}"
        await self._journal.commit("AcceptPeer", [*consent, *changes], message=what)
        welcome = await self._admitting.welcome(issued, wrapped, wrapping_key)
        try:
            await candidate.hand(welcome_to_proto(welcome))
        except PeerAway as error:
            await self._take_back(name, error)
            raise
        used = self._admitting.revoked(Role.CANDIDATE, name)
        record = occurred(self._now_us(), "peer.accept", caller().actor, message=f"server {name} has joined")
        await self._store.commit([*used, record])
        return peer

    async def Replicate(  # type: ignore[override]  # the types know only generators
        self, request_iterator: AsyncIterator[pb.ReplicateRequest], context: Any
    ) -> None:
        """Exchange rows with another server; PeerRefused, BatchRefused."""
        if self._links is None:
            raise NoPeer("nothing is replicated here")
        await replicate(self._links, request_iterator, context)

    async def ListPeers(self, request: pb.ListPeersRequest, context: Any) -> pb.ListPeersResponse:
        """List the servers of the estate and those that are invited."""
        return pb.ListPeersResponse(peers=self._told(self._peers))

    async def RemovePeer(self, request: pb.RemovePeerRequest, context: Any) -> pb.RemovePeerResponse:
        """Let a server go, or take its invitation back; UnknownPeer, BadArgument for this one itself."""
        peer, revoked = self._admitting.remove(request.name)
        changes: list[Change] = [peer, *revoked, *self._void(request.name)]
        records = [self._revocation(each) for each in revoked]
        await self._journal.commit("RemovePeer", [*changes, *records], message=f"server {peer.name}")
        return pb.RemovePeerResponse()

    async def RejoinPeers(self, request: pb.RejoinPeersRequest, context: Any) -> pb.RejoinPeersResponse:
        """Exchange rows with the servers that this one kept apart from; NoPeer if there are none."""
        apart = [peer for peer in self._peers.others if self._peers.is_apart(peer)]
        if not apart:
            raise NoPeer("this server keeps apart from no other", hint="see: qekm peers list")
        what = f"with {', '.join(peer.name for peer in apart)}"
        await self._journal.commit("RejoinPeers", self._peers.rejoin(), message=what)
        return pb.RejoinPeersResponse(peers=self._told(apart))

    async def SyncPeers(self, request: pb.SyncPeersRequest, context: Any) -> pb.SyncPeersResponse:
        """Compare this store with all others; NoPeer, PeerAway."""
        others = self._peers.others
        if not others or self._links is None:
            hint = "enrol one with: qekm peers invite"
            raise NoPeer("there is no second server to synchronise with", hint=hint)
        what = f"with {', '.join(peer.name for peer in others)}{'; everything anew' * request.repair}"
        await self._journal.commit("SyncPeers", (), message=what)
        await self._links.compare(request.repair)
        return pb.SyncPeersResponse(peers=self._told(others))

    def _told(self, peers: Iterable[Peer]) -> list[pb.Peer]:
        told = [
            to_proto(peer, self._peers, self._links) for peer in peers if peer.state is not PeerState.REMOVED
        ]
        for each in told:
            if each.state == pb.PEER_STATE_INVITED and each.name in self._candidates:
                candidate = self._candidates.find(each.name)
                each.waiting, each.spki_sha256 = True, candidate.spki_sha256
                each.version = candidate.version
        return told

    def _look(self, name: str, spki_sha256: bytes) -> Candidate:
        """Return who waits under a name, if the caller may let it in; changes nothing."""
        self._peers.check_invited(name, self._now_us())
        candidate = self._candidates.compared(name, spki_sha256)
        if self._approvals.two_person:
            self._approvals.check_second(_act(name), caller().actor, self._issued_us())
        return candidate

    def _consent(self, name: str) -> tuple[list[Approval], str]:
        """Return a second person's consent, used up, and what is told of it; as `_look`."""
        if not self._approvals.two_person:
            return [], OFF
        used = self._approvals.second(_act(name), caller().actor, self._issued_us())
        return [used], f"invited by {used.requester}, request {used.approval_id}"

    def _void(self, name: str) -> list[Approval]:
        return self._approvals.withdraw(_act(name), caller().actor)

    def _issued_us(self) -> int:
        record = self._admitting.owners.certificates.by_serial(caller().serial)
        return record.start_time_us + SKEW_US

    async def _take_back(self, name: str, error: PeerAway) -> None:
        """Let a server go that did not get its welcome."""
        peer, revoked = self._admitting.remove(name)
        record = occurred(
            self._now_us(), "peer.accept", caller().actor, Outcome.FAILURE, message=error.message
        )
        await self._store.commit([peer, *revoked, record])

    def _revocation(self, each: Certificate) -> Change:
        what = f"{each.role.name.lower()}/{each.name}, serial {each.serial}"
        return occurred(each.revoke_time_us, "certificate.revoke", caller().actor, message=what)


def _act(name: str) -> Act:
    """Return what needs two persons: one who invites a server, and another one who lets it in."""
    return Act.of("peer", f"let the server {name} into the estate", name)
