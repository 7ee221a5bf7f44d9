"""Reports that tests make up: of nothing, of little, and of everything that strangers can put into a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from qekm.v1 import report_pb2 as pb
from qekm.v1.approvals_pb2 import APPROVAL_STATE_USED, Approval
from qekm.v1.audit_pb2 import OUTCOME_FAILURE, OUTCOME_INTENT, OUTCOME_SUCCESS, Record, Verdict
from qekm.v1.backups_pb2 import BACKUP_STATE_VERIFIED, Backup
from qekm.v1.drives_pb2 import Drive
from qekm.v1.keystore_pb2 import KEY_STATE_ACTIVE, KEY_STATE_DESTROYED, KEY_STATE_READY, KeyCount
from qekm.v1.peers_pb2 import PEER_STATE_JOINED, Peer
from qekm_cli.render import Plain, plain

EPOCH = 1_796_083_200  # 2026-12-01T00:00:00Z
DAY = 86_400
EVIL = (
    "<script>alert('qekm')</script>",
    '"><img src=x onerror=alert(1)>&amp;&#60;',
    "abc\u202edcba\u2066x",
    "\U0001f600\U0001f512 B\u00fcro \u6f22\u5b57",
    "X" * 5_000,
    "</style></svg><b>fat</b>",
    "\x00\x1b[2J\r\n]]>",
    "{{ 7 * 7 }}{% raw %}",
)


def moment(days: float = 0) -> Timestamp:
    """Return a time so many days after the first of December."""
    return Timestamp(seconds=int(EPOCH + days * DAY))


def evil(number: int) -> str:
    """Return one of the names, told apart by its number."""
    return f"{number} {EVIL[number % len(EVIL)]}"


def empty() -> pb.Report:
    """Return the report of a store in which nothing ever happened."""
    trail = pb.ReportedTrail(verdict=Verdict(intact=True, head=bytes(32), public_key=bytes(32)))
    server = pb.ReportedServer(name="server", version="0.0.0", start_time=moment(), two_person=True)
    span = {"since": moment(-30), "until": moment()}
    acts = dict.fromkeys(("drills", "endings", "exports", "imports"), pb.Acts())
    nothing = {**acts, "keys": pb.ReportedKeys(), "cartridges": pb.ReportedCartridges()}
    return pb.Report(
        maker="auditor/anna",
        make_time=moment(),
        server=server,
        trail=trail,
        interval="day",
        **span,
        **nothing,
    )


def rich(name: Callable[[int], str] = evil, groups: int = 40, days: int = 31) -> pb.Report:
    """Return a report that has everything, of so many groups and days; name: of anything, by its number."""
    report = empty()
    report.trail.MergeFrom(
        pb.ReportedTrail(first_sequence=11, last_sequence=987_654, record_count=987_644, checked=987_654)
    )
    report.maker, report.server.name, report.server.read_only = name(0), name(1), name(2)
    report.degraded.extend(map(name, range(8)))
    _keys(report, name, groups)
    _drives(report, name, days)
    _failures(report, name)
    _acts(report, name)
    report.certificates.extend(
        pb.CertificateEnd(who=name(n), mark="ab" * 32, end_time=moment(n - 1), days=n - 1) for n in range(6)
    )
    state: Any = PEER_STATE_JOINED
    report.peers.extend(Peer(name=name(n), address=name(n), state=state, lag_records=n) for n in range(3))
    return report


def _keys(report: pb.Report, name: Callable[[int], str], groups: int) -> None:
    states = (KEY_STATE_READY, KEY_STATE_ACTIVE, KEY_STATE_DESTROYED)
    every = [[KeyCount(state=state, count=1_000 + 7 * n + state) for state in states] for n in range(groups)]
    shown = every[:100]
    keys = pb.ReportedKeys(
        counts=[KeyCount(state=s, count=sum(c[i].count for c in every)) for i, s in enumerate(states)],
        groups=(pb.GroupCount(group=name(n), counts=counts) for n, counts in enumerate(shown)),
        more_groups=len(every[100:]),
        more_keys=sum(each.count for counts in every[100:] for each in counts),
        months=(pb.MonthCount(start_time=moment(30.5 * (n - 40)), count=n * 1_234 % 999) for n in range(40)),
        before=17,
        ages=[pb.AgeCount(to_days=30, count=4_711), pb.AgeCount(from_days=30, count=1)],
    )
    report.keys.CopyFrom(keys)
    spread = [pb.Spread(cartridges=1, keys=8_765), pb.Spread(cartridges=20, keys=2)]
    shared = [pb.SharedKey(alias=name(3), cartridges=23, first_time=moment(-9), last_time=moment(-1))]
    report.cartridges.CopyFrom(
        pb.ReportedCartridges(spread=spread, shared=shared, more_shared=1, cartridge_count=8_811)
    )


def _drives(report: pb.Report, name: Callable[[int], str], days: int) -> None:
    report.drives.extend(
        pb.ReportedDrive(
            drive=Drive(serial=f"{n:012}", alias=name(n), product=name(n + 1), last_seen_time=moment(-n)),
            created=n * 1_001,
            read=n * 2_002,
            refused=n,
        )
        for n in range(8)
    )
    report.drive_count = 4_321
    report.serving.extend(
        pb.ServingInterval(
            start_time=moment(n - days), created=n * 37 % 500, read=n * 7_919 % 12_345, refused=n % 3
        )
        for n in range(days)
    )


def _failures(report: pb.Report, name: Callable[[int], str]) -> None:
    for number in range(20):
        report.events.add(event=f"kind.{number}", outcome=OUTCOME_FAILURE, code="EE31", count=1_000 - number)
    report.events.add(event="rpc.Login", outcome=OUTCOME_FAILURE, code="BAD_PASSWORD", count=77)
    report.events.add(event="key.export", outcome=OUTCOME_INTENT, count=5_151)
    report.failing_actors.extend(pb.NameCount(name=name(n), count=900 - n) for n in range(25))
    report.more_failing_actors = 6_543
    report.failing_drives.extend(pb.NameCount(name=name(n), count=800 - n) for n in range(8))
    report.ssl_refused = 3_030


def _acts(report: pb.Report, name: Callable[[int], str]) -> None:
    for field in ("drills", "endings", "exports", "imports"):
        acts: pb.Acts = getattr(report, field)
        acts.records.extend(
            Record(
                sequence=100_000 + n,
                time=moment(-n),
                event="rpc.ExportKeys",
                outcome=OUTCOME_SUCCESS,
                actor=name(n),
                message=name(n + 1),
            )
            for n in range(8)
        )
        acts.more = 12
    report.backups.extend(
        Backup(
            name=name(n),
            create_time=moment(-n),
            key_count=55_000 + n,
            state=BACKUP_STATE_VERIFIED,
            verify_time=moment(-n),
            target=name(n),
            message=name(n),
        )
        for n in range(4)
    )
    report.approvals.extend(
        Approval(
            approval_id=f"{n:08x}",
            summary=name(n),
            requester=name(n),
            state=APPROVAL_STATE_USED,
            decider=name(n),
        )
        for n in range(4)
    )


def told(report: pb.Report) -> Plain:
    """Return a report as the command has it."""
    return plain(report)
