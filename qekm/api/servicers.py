"""All servicers of a service, made from its owners and put on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grpc import aio

from qekm.activity import Activity
from qekm.alarming import Alarming
from qekm.api.accounts import AccountsServicer
from qekm.api.admitting import Admitting
from qekm.api.alarms import AlarmsServicer
from qekm.api.approvals import ApprovalsServicer
from qekm.api.audit import AuditServicer
from qekm.api.backups import BackupsServicer
from qekm.api.certificates import CertificatesServicer
from qekm.api.configuration import ConfigurationServicer
from qekm.api.consent import Consents
from qekm.api.diagnosis import DiagnosisServicer
from qekm.api.drives import DrivesServicer
from qekm.api.gateways import Gateways
from qekm.api.groups import GroupsServicer
from qekm.api.journal import Journal
from qekm.api.keystore import KeystoreServicer
from qekm.api.linked import Links
from qekm.api.logins import Logins
from qekm.api.pairs import OwnPairs
from qekm.api.peers import PeersServicer
from qekm.api.proofs import Proofs
from qekm.api.report import ReportServicer
from qekm.api.reported import Present
from qekm.api.server import ServerServicer
from qekm.api.serving import ServingServicer
from qekm.api.sharing import SharingServicer
from qekm.api.slots import SlotsServicer
from qekm.approvals import people
from qekm.audit import Strangers
from qekm.awaiting import Awaiting
from qekm.backup.keeping import Keeper
from qekm.configuration.keyset import KeySet
from qekm.configuration.owner import Configuration
from qekm.configuration.settings import Settings
from qekm.logs.debugging import Tap
from qekm.owners import Owners
from qekm.pki import SKEW_US, RandomBytes
from qekm.rotating import Rotating
from qekm.sealing import Verifiers
from qekm.store import Store
from qekm.tracing import Tracing
from qekm.unlocking import token_key
from qekm.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    alarms_pb2,
    alarms_pb2_grpc,
    approvals_pb2,
    approvals_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    backups_pb2,
    backups_pb2_grpc,
    certificates_pb2,
    certificates_pb2_grpc,
    configuration_pb2,
    configuration_pb2_grpc,
    diagnosis_pb2,
    diagnosis_pb2_grpc,
    drives_pb2,
    drives_pb2_grpc,
    groups_pb2,
    groups_pb2_grpc,
    keystore_pb2,
    keystore_pb2_grpc,
    peers_pb2,
    peers_pb2_grpc,
    report_pb2,
    report_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    serving_pb2,
    serving_pb2_grpc,
    sharing_pb2,
    sharing_pb2_grpc,
    slots_pb2,
    slots_pb2_grpc,
)

_FILES = (
    accounts_pb2,
    alarms_pb2,
    approvals_pb2,
    audit_pb2,
    backups_pb2,
    certificates_pb2,
    configuration_pb2,
    diagnosis_pb2,
    drives_pb2,
    groups_pb2,
    keystore_pb2,
    peers_pb2,
    report_pb2,
    server_pb2,
    serving_pb2,
    sharing_pb2,
    slots_pb2,
)
NAMES: tuple[str, ...] = tuple(
    service.full_name for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()
)
"""Full names of all services, for example qekm.v1.KeystoreService."""


@dataclass(frozen=True, slots=True)
class Servicers:
    """What the servicers work with; `add_to` makes them."""

    owners: Owners
    store: Store
    gateways: Gateways
    settings: Settings
    refusals: Strangers  # of callers; whoever keeps the service up flushes it
    keeper: Keeper
    lines: Callable[[], list[str]]  # what a status says of the backups
    rotating: Rotating
    stop: Callable[[], None]
    publish: Callable[[], None]  # puts renewed certificates in force
    now_us: Callable[[], int]
    random_bytes: RandomBytes
    tap: Tap  # through which the debug log sees drives' turns
    configuration: Configuration
    keyset: KeySet
    ssl_port: Callable[[], int]  # of peers and remote administration; 0: nothing listens
    ssl_refused: Callable[[], int]  # connections to it that came to nothing
    activity: Activity  # what happened since the start
    alarms: Alarming
    tracing: Tracing | None = None  # where somebody wants spans
    links: Links | None = None  # to the other servers of the estate
    awaiting: Awaiting | None = None  # what a new key's answer waits for

    def add_to(self, server: aio.Server) -> None:
        """Put every service of the contract on a server; on several through Handlers, which count as one."""
        owners, store, gateways, now_us = self.owners, self.store, self.gateways, self.now_us
        journal = Journal(store, now_us)
        estate, anchor = owners.estate, owners.estate.anchor
        consents = Consents(owners.approvals, journal, lambda: len(people(owners.certificates, now_us())))
        self._add_accounts(server, journal, consents)
        alarms_pb2_grpc.add_AlarmsServiceServicer_to_server(AlarmsServicer(self.alarms, journal), server)
        approvals = ApprovalsServicer(owners.approvals, journal, self._issued_us)
        approvals_pb2_grpc.add_ApprovalsServiceServicer_to_server(approvals, server)
        public_key = estate.audit_key.public_key()
        audit = AuditServicer(store, public_key, owners.checkpoints, owners.peers)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, server)
        certificates = CertificatesServicer(owners.certificates, journal, consents, now_us, self.publish)
        certificates_pb2_grpc.add_CertificatesServiceServicer_to_server(certificates, server)
        properties = ConfigurationServicer(self.configuration, journal)
        configuration_pb2_grpc.add_ConfigurationServiceServicer_to_server(properties, server)
        diagnosis = DiagnosisServicer(gateways, estate.diagnosis, anchor, journal, now_us, self.random_bytes)
        diagnosis_pb2_grpc.add_DiagnosisServiceServicer_to_server(diagnosis, server)
        drives = DrivesServicer(owners.registry, owners.allocator, journal, consents)
        drives_pb2_grpc.add_DrivesServiceServicer_to_server(drives, server)
        groups = GroupsServicer(owners.allocator, owners.registry, journal, self.keyset)
        groups_pb2_grpc.add_GroupsServiceServicer_to_server(groups, server)
        self._add_keystore(server, journal, consents)
        ssl_port, settings = self.ssl_port, self.settings
        own = ServerServicer(owners, gateways, journal, self.lines, self.stop, ssl_port, settings, now_us)
        own.ssl_refused = self.ssl_refused
        server_pb2_grpc.add_ServerServiceServicer_to_server(own, server)
        present = Present(owners, settings, own.degraded, self.ssl_refused, self.links, now_us())
        report = ReportServicer(present, store, self.activity, audit, journal, now_us)
        report_pb2_grpc.add_ReportServiceServicer_to_server(report, server)
        given = owners.serving, store, gateways, now_us, self.tap, self.awaiting, self.activity.answered
        serving = self._make_serving(*given)
        serving_pb2_grpc.add_ServingServiceServicer_to_server(serving, server)
        self._add_sharing(server, journal, consents)

    def interceptors(self) -> list[aio.ServerInterceptor]:
        """Return what sees every call, outside of the guard."""
        if self.tracing is None:
            return []
        from qekm.api.tracing import CallSpans

        return [CallSpans(self.tracing)]

    def _make_serving(self, *given: Any) -> ServingServicer:
        if self.tracing is None:
            return ServingServicer(*given)
        from qekm.api.tracing import TracedServing

        return TracedServing(self.tracing, *given)

    def _add_accounts(self, server: aio.Server, journal: Journal, consents: Consents) -> None:
        """Put what command passwords open on a server."""
        owners, store, now_us = self.owners, self.store, self.now_us
        verifiers = Verifiers(store.ring.pepper, random_bytes=self.random_bytes)
        logins = Logins(
            *(owners.accounts, owners.sessions, owners.opened, store, self.refusals, now_us, verifiers)
        )
        accounts = AccountsServicer(owners.accounts, owners.sessions, logins, journal, consents, now_us)
        accounts_pb2_grpc.add_AccountsServiceServicer_to_server(accounts, server)

    def _add_keystore(self, server: aio.Server, journal: Journal, consents: Consents) -> None:
        """Put what opens slots of the keystore for people on a server."""
        owners, store, settings, now_us = self.owners, self.store, self.settings, self.now_us
        proofs = Proofs(owners.slots, token_key(settings), store, self.refusals, now_us)
        keystore = KeystoreServicer(owners, store, journal, settings, proofs, consents, self.rotating, now_us)
        keystore_pb2_grpc.add_KeystoreServiceServicer_to_server(keystore, server)
        slots = SlotsServicer(owners.slots, owners.opened, proofs, journal)
        slots_pb2_grpc.add_SlotsServiceServicer_to_server(slots, server)
        backups = BackupsServicer(self.keeper, proofs, consents, journal)
        backups_pb2_grpc.add_BackupsServiceServicer_to_server(backups, server)
        admitting = Admitting(owners, store, settings, self.ssl_port, now_us, self.random_bytes)
        peers = PeersServicer(admitting, journal, proofs, self.links)
        peers_pb2_grpc.add_PeersServiceServicer_to_server(peers, server)

    def _add_sharing(self, server: aio.Server, journal: Journal, consents: Consents) -> None:
        """Put what gives keys to other sites, and takes keys from them, on a server."""
        owners, store = self.owners, self.store
        pairs = OwnPairs(
            owners.pairs,
            owners.certificates,
            owners.keystore,
            store.ring,
            journal,
            self.now_us,
            self.random_bytes,
        )
        sharing = SharingServicer(owners, store, journal, consents, pairs)
        sharing_pb2_grpc.add_SharingServiceServicer_to_server(sharing, server)

    def _issued_us(self, serial: str) -> int:
        """Return when a certificate of ours was made, to the second. UnknownCertificate."""
        return self.owners.certificates.by_serial(serial).start_time_us + SKEW_US
