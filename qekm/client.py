"""What a program needs to talk to the service.

    from qekm.client import connect
    from qekm.v1.keystore_pb2 import GetKeyRequest

    with connect() as qekm:
        print(qekm.keystore.GetKey(GetKeyRequest(alias="QKM000000000000000001")).key.state)

A person whose certificate has a command password gives a source of it, which is asked when it is wanted:

    with connect(identity="alice", password=getpass) as qekm:

Errors are those of qekm.errors. gRPC is imported when `connect` is called, not before.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.errors import BadConfiguration, NotInitialised, UnknownIdentity
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.rpc.tls import Files
    from qekm.v1.accounts_pb2_grpc import AccountsServiceAsyncStub, AccountsServiceStub
    from qekm.v1.alarms_pb2_grpc import AlarmsServiceAsyncStub, AlarmsServiceStub
    from qekm.v1.approvals_pb2_grpc import ApprovalsServiceAsyncStub, ApprovalsServiceStub
    from qekm.v1.audit_pb2_grpc import AuditServiceAsyncStub, AuditServiceStub
    from qekm.v1.backups_pb2_grpc import BackupsServiceAsyncStub, BackupsServiceStub
    from qekm.v1.certificates_pb2_grpc import CertificatesServiceAsyncStub, CertificatesServiceStub
    from qekm.v1.configuration_pb2_grpc import ConfigurationServiceAsyncStub, ConfigurationServiceStub
    from qekm.v1.diagnosis_pb2_grpc import DiagnosisServiceAsyncStub, DiagnosisServiceStub
    from qekm.v1.drives_pb2_grpc import DrivesServiceAsyncStub, DrivesServiceStub
    from qekm.v1.groups_pb2_grpc import GroupsServiceAsyncStub, GroupsServiceStub
    from qekm.v1.keystore_pb2_grpc import KeystoreServiceAsyncStub, KeystoreServiceStub
    from qekm.v1.peers_pb2_grpc import PeersServiceAsyncStub, PeersServiceStub
    from qekm.v1.report_pb2_grpc import ReportServiceAsyncStub, ReportServiceStub
    from qekm.v1.server_pb2_grpc import ServerServiceAsyncStub, ServerServiceStub
    from qekm.v1.sharing_pb2_grpc import SharingServiceAsyncStub, SharingServiceStub
    from qekm.v1.slots_pb2_grpc import SlotsServiceAsyncStub, SlotsServiceStub

DEADLINE_S = 30.0
"""Seconds that a call with one answer may take unless it says otherwise."""

IDENTITY = "administrator"
"""Whose certificate is shown where nothing else is said."""

PORT = 3802
"""Where a service listens of which nothing else is known."""

_SERVICES = (
    "accounts",
    "alarms",
    "approvals",
    "audit",
    "backups",
    "certificates",
    "configuration",
    "diagnosis",
    "drives",
    "groups",
    "keystore",
    "peers",
    "report",
    "server",
    "sharing",
    "slots",
)


class _Stubs:
    """Services by noun, each made when it is first used: a program loads the messages that it needs."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        if name not in _SERVICES:
            raise AttributeError(f"the service has no {name!r}; it has {', '.join(_SERVICES)}")
        module = import_module(f"qekm.v1.{name}_pb2_grpc")
        stub = getattr(module, f"{name.capitalize()}ServiceStub")(self._channel)
        setattr(self, name, stub)
        return stub


class Client(_Stubs):
    """The services on a blocking channel."""

    if TYPE_CHECKING:
        accounts: AccountsServiceStub
        alarms: AlarmsServiceStub
        approvals: ApprovalsServiceStub
        audit: AuditServiceStub
        backups: BackupsServiceStub
        certificates: CertificatesServiceStub
        configuration: ConfigurationServiceStub
        diagnosis: DiagnosisServiceStub
        drives: DrivesServiceStub
        groups: GroupsServiceStub
        keystore: KeystoreServiceStub
        peers: PeersServiceStub
        report: ReportServiceStub
        server: ServerServiceStub
        sharing: SharingServiceStub
        slots: SlotsServiceStub


class AsyncClient(_Stubs):
    """The services on an asyncio channel."""

    if TYPE_CHECKING:
        accounts: AccountsServiceAsyncStub
        alarms: AlarmsServiceAsyncStub
        approvals: ApprovalsServiceAsyncStub
        audit: AuditServiceAsyncStub
        backups: BackupsServiceAsyncStub
        certificates: CertificatesServiceAsyncStub
        configuration: ConfigurationServiceAsyncStub
        diagnosis: DiagnosisServiceAsyncStub
        drives: DrivesServiceAsyncStub
        groups: GroupsServiceAsyncStub
        keystore: KeystoreServiceAsyncStub
        peers: PeersServiceAsyncStub
        report: ReportServiceAsyncStub
        server: ServerServiceAsyncStub
        sharing: SharingServiceAsyncStub
        slots: SlotsServiceAsyncStub


@contextmanager
def connect(
    home: str | Path | None = None,
    target: str | None = None,
    identity: str | None = None,
    deadline_s: float = DEADLINE_S,
    *,
    session: bytes | None = None,
    password: Callable[[], str | bytes] | None = None,
    keep: Callable[[bytes, int], None] | None = None,
) -> Iterator[Client]:
    """Open a client for a `with` block; it connects when first used.

    home: where pki/ has the certificate; default QEKM_HOME, else /var/lib/qekm. target: host:port; default as
    `address_of`. identity: pki/IDENTITY.pem and .key; default as `identity_of`. session: one from before, if
    it may still be good. password: called when the service wants the command password; without it such calls
    raise PasswordNeeded. keep: called with each new session and its end (microseconds since 1970), and with
    b"" and 0 when `session` was refused. Raises NotInitialised, UnknownIdentity, BadCertificate,
    BadConfiguration for what is missing in the home or of no use.
    """
    from qekm.rpc import calls, channel, sessions, tls

    address, files = _locate(home, target, identity)
    proving = sessions.Sessions(sessions.Session(session, password, keep))
    interceptors = [proving, calls.Calls(address, deadline_s)]
    wanted = interceptors if session or password else interceptors[1:]
    with channel.open_channel(address, tls.client_credentials(files), wanted) as opened:
        proving.channel = opened
        yield Client(opened)


@asynccontextmanager
async def connect_async(
    home: str | Path | None = None,
    target: str | None = None,
    identity: str | None = None,
    deadline_s: float = DEADLINE_S,
    *,
    session: bytes | None = None,
    password: Callable[[], str | bytes] | None = None,
    keep: Callable[[bytes, int], None] | None = None,
) -> AsyncIterator[AsyncClient]:
    """Open a client for an `async with` block; as `connect`, and `password` is called in a thread."""
    from qekm.rpc import calls, channel, sessions, tls

    address, files = _locate(home, target, identity)
    proving = sessions.AsyncSessions(sessions.Session(session, password, keep))
    # An upload is proved in any case: of one that is refused under way grpc may tell nothing but "internal".
    interceptors = [
        *proving.interceptors[0 if session or password else -1 :],
        calls.AsyncCalls(address, deadline_s),
        calls.AsyncStreams(address),
        calls.AsyncUploads(address),
    ]
    async with channel.open_async_channel(address, tls.client_credentials(files), interceptors) as opened:
        proving.channel = opened
        yield AsyncClient(opened)


def address_of(home: Home, target: str | None = None) -> str:
    """Return the service's host:port: the one named, the one that runs in the home, or the client's.

    A home without a store tells in ClientKeyManagerConfig.properties where its key manager is;
    BadConfiguration if that cannot be read.
    """
    if target:
        return target
    running = home.running("server")
    if running is None and home.is_client:
        from qekm.configuration.remote import read_remote

        return read_remote(home.client_config).target
    return f"localhost:{running.ports['grpc'] if running else PORT}"


def identity_of(home: Home, named: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return whose certificate is shown: the named, QEKM_IDENTITY, the client's, or the administrator's."""
    if found := named or environ.get("QEKM_IDENTITY"):
        return found
    if home.is_client:
        from qekm.configuration.remote import read_remote

        return read_remote(home.client_config).identity
    return IDENTITY


def _locate(home: str | Path | None, target: str | None, identity: str | None) -> tuple[str, Files]:
    """Return the service's address and the files to go there with."""
    from qekm.rpc.tls import Files

    place = Home.find(home)
    name = identity_of(place, identity)
    files = Files(place.certificate(name), place.key(name), place.trust)
    try:
        known, named = place.trust.exists(), files.certificate.exists()
    except OSError as error:
        raise BadConfiguration(f"cannot read {place.pki}: {error.strerror}") from None
    if not known:
        raise NotInitialised(f"there is no key manager in {place.path}", home=str(place.path))
    if not named:
        raise UnknownIdentity(
            f"there is no certificate {files.certificate}",
            hint="have an administrator issue one with: qekm certificates issue",
        )
    return address_of(place, target), files
