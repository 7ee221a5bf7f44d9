"""The call of a server that wants to be let in: it waits until somebody at the other end has said yes."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from collections.abc import Callable

import grpc

from qekm import __version__, pki
from qekm.errors import PeerAway, QekmError
from qekm.invitation import Invitation
from qekm.rpc.calls import Calls
from qekm.rpc.channel import open_channel
from qekm.rpc.welcomes import of_proto
from qekm.v1 import peers_pb2 as pb
from qekm.v1.peers_pb2_grpc import PeersServiceStub
from qekm.welcome import Welcome


def ask(invitation: Invitation, request: bytes, wrapping_key: bytes, tell: Callable[[], None]) -> Welcome:
    """Show a certificate request and a wrapping key to the estate, wait, and return its welcome.

    Nothing but the certificate in the invitation is trusted, so what answers has the key that it names. tell:
    called with each sign of life. PeerRefused, PeerAway, RevokedIdentity when it was taken back, ServiceAway.
    """
    credentials = grpc.ssl_channel_credentials(
        pki.pem(invitation.server), invitation.key.reveal(), pki.pem(invitation.certificate)
    )
    message = pb.JoinEstateRequest(
        certificate_request=request, wrapping_key=wrapping_key, version=__version__
    )
    welcome = pb.Welcome()
    with open_channel(invitation.address, credentials, [Calls(invitation.address, 0)]) as channel:
        try:
            for answer in PeersServiceStub(channel).JoinEstate(message):
                if not answer.HasField("welcome"):
                    tell()
                welcome.MergeFrom(answer.welcome)
        except QekmError:
            if not _is_whole(welcome):
                raise
    # To the end of the call, or the other server takes it for one that went away.
    if not _is_whole(welcome):
        raise PeerAway(f"{invitation.address} has ended the call", peer=invitation.subject.name)
    return of_proto(welcome)


def _is_whole(welcome: pb.Welcome) -> bool:
    return bool(welcome.certificate) and len(welcome.rows) == welcome.row_count
