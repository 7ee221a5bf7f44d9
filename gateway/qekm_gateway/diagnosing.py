"""Play a test drive against our own port, when the service asks: the four path diagnostics of tape libraries.

The drive's key is made when the gateway starts and never leaves it; its certificate comes with each command,
from an authority that is trusted for this one serial. It is answered without a key being used up.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.v1.diagnosis_pb2 import TEST_PING, TEST_STATUS_FAILED, TestResult
from qekm.v1.serving_pb2 import DiagnoseCommand, DiagnoseReport
from qekm_gateway.faults import Incidents
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.diagnosis import Bench, run_tests
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.keys import SessionKey
from qekm_gateway.simulator.link import Server
from qekm_gateway.simulator.signatures import Signer

SERIAL, WWNN = "QEKMDIAG0001", b"QEKMDIAG"
MAXIMUM_COMMANDS = 2  # at once: an administrator at a time, and one more


class Diagnosing:
    """The test drive of this gateway."""

    def __init__(self, servers: Callable[[], Sequence[Server]], incidents: Incidents) -> None:
        self._servers = servers
        self._incidents = incidents
        self._signer = Signer(ec.generate_private_key(ec.SECP256R1()))
        self._session_key: SessionKey | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def spki(self) -> bytes:
        """Return the drive's public key (SubjectPublicKeyInfo, DER)."""
        public = self._signer.private.public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def start(self, command: DiagnoseCommand, report: Callable[[DiagnoseReport], None]) -> None:
        """Run a command beside everything else; `report` gets its results."""
        if len(self._running) < MAXIMUM_COMMANDS:
            task = asyncio.get_running_loop().create_task(self._run(command, report))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        else:
            report(DiagnoseReport(command_id=command.command_id, results=[_failed("it is busy")]))

    async def _run(self, command: DiagnoseCommand, report: Callable[[DiagnoseReport], None]) -> None:
        found = DiagnoseReport(command_id=command.command_id)
        try:
            tests = [asyncio.to_thread(self._test, server, command) for server in self._servers()]
            for results in await asyncio.gather(*tests):
                found.results.extend(results)
        except Exception as error:
            found.results.append(_failed(f"internal error, incident {self._incidents.record(error)}"))
        report(found)

    def _test(self, server: Server, command: DiagnoseCommand) -> list[TestResult]:
        """Run the four tests at one address; blocks."""
        drive = Drive(
            SERIAL,
            WWNN,
            self._signer,
            tuple(command.drive_certificates),
            session_key=self._session_key,
        )
        bench = Bench(server, drive, Anchors([command.anchor]), os.urandom, _now_us)
        results = run_tests(bench)
        self._session_key = drive.session_key
        return [
            TestResult(
                address=result.address,
                test=int(result.test),  # type: ignore[arg-type]
                status=int(result.status),  # type: ignore[arg-type]
                message=result.message,
                elapsed_us=result.elapsed_us,
            )
            for result in results
        ]


def _failed(why: str) -> TestResult:
    return TestResult(test=TEST_PING, status=TEST_STATUS_FAILED, message=f"the gateway could not test: {why}")


def _now_us() -> int:
    return time.time_ns() // 1_000
