"""What owners say of the present for a report: who is who, what is kept, what is not as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from qekm import __version__
from qekm.api import approvals, backups, drives, linked
from qekm.api.fields import stamp
from qekm.configuration.settings import Settings
from qekm.expiring import Ending
from qekm.model import Approval, Backup, BackupState, DriveState, PeerState
from qekm.owners import Owners
from qekm.v1 import report_pb2 as pb

MOST_DRIVES, MOST_BACKUPS, MOST_APPROVALS, MOST_CERTIFICATES = 200, 100, 100, 200
_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Present:
    """The owners and what else tells how the service is; to be asked in the event loop."""

    owners: Owners
    settings: Settings
    degraded: Callable[[], Iterable[str]]
    ssl_refused: Callable[[], int]
    links: linked.Links | None
    start_us: int

    def tell(self, report: pb.Report, exchanges: Mapping[str, Counter[str]], now_us: int) -> None:
        """Put the present into a report of a span; exchanges: by serial, of each drive in it."""
        self._server(report)
        self._drives(report, exchanges)
        self._backups(report)
        self._approvals(report)
        self._certificates(report, now_us)
        peers = self.owners.peers
        joined = (peer for peer in peers if peer.state is not PeerState.REMOVED)
        report.peers.extend(linked.to_proto(peer, peers, self.links) for peer in joined)
        report.degraded.extend(self.degraded())
        report.ssl_refused = self.ssl_refused()

    def _server(self, report: pb.Report) -> None:
        owners = self.owners
        server = pb.ReportedServer(
            name=owners.certificates.server_name,
            version=__version__,
            start_time=stamp(self.start_us),
            estate_id=owners.estate_id,
            epoch=owners.estate.epoch,
            anchor=owners.estate.anchor,
            two_person=owners.approvals.two_person,
            protect=str(self.settings["keystore.protect"]),
            read_only=owners.keystore.read_only,
        )
        report.server.CopyFrom(server)

    def _drives(self, report: pb.Report, exchanges: Mapping[str, Counter[str]]) -> None:
        registry = self.owners.registry
        none: Counter[str] = Counter()
        entries = registry.page(limit=_ALL, state=DriveState.ACCEPTED)
        entries.sort(key=lambda drive: -exchanges.get(drive.serial, none).total())  # stable: then by serial
        report.drives.extend(
            pb.ReportedDrive(drive=drives.to_proto(drive), **exchanges.get(drive.serial, none))
            for drive in entries[:MOST_DRIVES]
        )
        report.drive_count = len(entries)
        report.pending_drive_count = registry.total(DriveState.PENDING)

    def _backups(self, report: pb.Report) -> None:
        known = self.owners.backups.page(limit=_ALL)
        chosen = [each for each in known if _is_kept(each) or _is_within(report, each.create_time_us)]
        report.backups.extend(map(backups.to_proto, chosen[:MOST_BACKUPS]))
        report.more_backups = len(chosen[MOST_BACKUPS:])
        if self.owners.backups.drill_us:
            report.drill_time.FromMicroseconds(self.owners.backups.drill_us)

    def _approvals(self, report: pb.Report) -> None:
        known = self.owners.approvals.page(limit=_ALL, over=True)
        chosen = [each for each in known if _concerns(report, each)]
        report.approvals.extend(map(approvals.to_proto, chosen[:MOST_APPROVALS]))
        report.more_approvals = len(chosen[MOST_APPROVALS:])

    def _certificates(self, report: pb.Report, now_us: int) -> None:
        found = sorted(self.owners.endings(), key=lambda each: (each.end_us, each.who))
        report.certificates.extend(_ending(each, now_us) for each in found[:MOST_CERTIFICATES])
        report.more_certificates = len(found[MOST_CERTIFICATES:])


def _ending(ending: Ending, now_us: int) -> pb.CertificateEnd:
    return pb.CertificateEnd(
        who=ending.who, mark=ending.mark, end_time=stamp(ending.end_us), days=ending.days(now_us)
    )


def _is_kept(backup: Backup) -> bool:
    return backup.state in (BackupState.CREATED, BackupState.VERIFIED)


def _concerns(report: pb.Report, approval: Approval) -> bool:
    return _is_within(report, approval.create_time_us) or _is_within(report, approval.decide_time_us)


def _is_within(report: pb.Report, time_us: int) -> bool:
    return report.since.ToMicroseconds() <= time_us < report.until.ToMicroseconds()
