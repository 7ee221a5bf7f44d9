"""Looks at a service that is made up, for what is pure."""

from __future__ import annotations

from qekm.v1 import audit_pb2, groups_pb2, peers_pb2, report_pb2, server_pb2
from qekm_cli.render import plain
from qekm_cli.top.look import Look
from qekm_cli.top.rates import Counts

NOW = 1_800_000_000.0


def record(event: str, outcome: int = audit_pb2.OUTCOME_FAILURE, **fields: object) -> audit_pb2.Record:
    """Return a record of the trail, of ten seconds ago."""
    made = audit_pb2.Record(event=event, outcome=outcome, **fields)  # type: ignore[arg-type]
    made.time.FromSeconds(int(NOW) - 10)
    return made


def activity(
    at_s: float, given: int = 0, answers: tuple[int, ...] = (0, 0, 0)
) -> report_pb2.GetActivityResponse:
    """Return what a service says that has given so many keys."""
    made = report_pb2.GetActivityResponse(
        events=[report_pb2.EventCount(event="key.create", outcome=audit_pb2.OUTCOME_INTENT, count=given)],
        answer_seconds=report_pb2.Distribution(bounds=(0.01, 0.1), counts=answers),
    )
    made.start_time.FromSeconds(int(NOW) - 3_600)
    made.time.FromMicroseconds(round(at_s * 1e6))
    return made


def counts(at_s: float, given: int = 0, answers: tuple[int, ...] = (0, 0, 0)) -> Counts:
    """Return what is counted of it."""
    return Counts.of(plain(activity(at_s, given, answers)), at_s)


def a_look(groups: int = 1, drives: int = 1, failures: int = 1, name: str = "group") -> Look:
    """Return a look with so many of everything, and a name that people gave."""
    seen = activity(NOW)
    seen.drives.extend(
        report_pb2.DriveActivity(
            serial=f"{number:012}", given_count=number, last=record("key.install", 2, volser="E01001L4")
        )
        for number in range(drives)
    )
    seen.failures.extend(
        record("drive.refuse", code="EE31", message=name, sequence=number) for number in range(failures)
    )
    pools = [
        groups_pb2.Group(
            name=f"{name}{n}", key_count=900, pool_count=100, ready_count=n % 101, low=n % 101 < 20
        )
        for n in range(groups)
    ]
    peers = [
        peers_pb2.Peer(name="ekm1", self=True, state=peers_pb2.PEER_STATE_JOINED),
        peers_pb2.Peer(name="ekm2", state=peers_pb2.PEER_STATE_JOINED, connected=True),
    ]
    status = server_pb2.GetStatusResponse(version="9.9.9", ready_key_count=64, degraded=[name])
    status.gateways.add(name="gateway")
    return Look(plain(status), plain(seen), [*map(plain, pools)], [*map(plain, peers)], NOW)
