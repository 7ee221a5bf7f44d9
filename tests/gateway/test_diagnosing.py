"""The test drive that the gateway plays against its own port."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from qekm.v1 import diagnosis_pb2 as pb
from qekm.v1.serving_pb2 import DiagnoseCommand, DiagnoseReport
from qekm_gateway.diagnosing import SERIAL, Diagnosing
from qekm_gateway.faults import Incidents
from qekm_gateway.simulator.authority import make_authority
from qekm_gateway.simulator.link import Server
from tests.fakes.link import Away, FakeLink
from tests.gateway.port import open_port

PASSED, FAILED, SKIPPED = pb.TEST_STATUS_PASSED, pb.TEST_STATUS_FAILED, pb.TEST_STATUS_SKIPPED


async def diagnose(*ports: int, commands: int = 1) -> list[DiagnoseReport]:
    """Run commands as the service sends them, and return the reports."""
    reports: list[DiagnoseReport] = []
    incidents = Incidents()
    diagnosing = Diagnosing(lambda: [Server("127.0.0.1", port) for port in ports], incidents)
    public = load_der_public_key(diagnosing.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    now_us = time.time_ns() // 1_000
    authority = make_authority(now_us)
    certificate = authority.issue(SERIAL, diagnosing._signer.private, now_us)
    for number in range(commands):
        diagnosing.start(
            DiagnoseCommand(
                command_id=number, drive_certificates=[certificate], anchor=sha256(b"anchor").digest()
            ),
            reports.append,
        )
    async with asyncio.timeout(20):
        while len(reports) < commands:
            await asyncio.sleep(0.01)
    assert incidents.count == 0
    return reports


async def test_each_test_is_reported_in_order_and_what_follows_a_failure_is_skipped() -> None:
    def away(_frame: object) -> Away:
        return Away()

    with open_port(FakeLink(away)) as port:
        (report,) = await diagnose(port.number)
    assert [(one.test, one.status) for one in report.results] == [
        (pb.TEST_PING, PASSED),
        (pb.TEST_DRIVE, PASSED),
        (pb.TEST_PATH, FAILED),
        (pb.TEST_CONFIG, SKIPPED),
    ]
    assert {one.address for one in report.results} == {f"127.0.0.1:{port.number}"}


async def test_a_service_that_is_not_the_anchor_s_fails_the_last_test() -> None:
    with open_port() as port:
        (report,) = await diagnose(port.number)
    assert [one.status for one in report.results] == [PASSED, PASSED, PASSED, FAILED]


async def test_every_address_is_tested_and_more_commands_than_two_at_once_are_refused() -> None:
    with open_port() as port, open_port() as other:
        reports = await diagnose(port.number, other.number, commands=3)
    busy, *others = sorted(reports, key=lambda report: len(report.results))
    assert [len(report.results) for report in others] == [8, 8]
    assert "busy" in busy.results[0].message
