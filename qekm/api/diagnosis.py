"""DiagnosisService: has every connected gateway play a test drive of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from qekm.api.gateways import Gateways, Link
from qekm.api.journal import Journal
from qekm.claim import DIAGNOSIS_SERIAL
from qekm.errors import BadCertificate, GatewayAway
from qekm.keypair import check_key
from qekm.model import Outcome
from qekm.pki import Issuer, der
from qekm.v1 import diagnosis_pb2 as pb
from qekm.v1.diagnosis_pb2_grpc import DiagnosisServiceServicer

PATIENCE_S = 15.0
_DAYS = 1  # a test drive's certificate is made anew for each diagnosis


class DiagnosisServicer(DiagnosisServiceServicer):
    """Makes each gateway's test drive a certificate, sends it the command and collects the reports."""

    def __init__(
        self,
        gateways: Gateways,
        issuer: Issuer,
        anchor: bytes,
        journal: Journal,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Take the authority of test drives, which is trusted for nothing else, and the server anchor."""
        self._gateways = gateways
        self._issuer = issuer
        self._anchor = anchor
        self._journal = journal
        self._now_us = now_us
        self._random_bytes = random_bytes

    async def Diagnose(self, request: pb.DiagnoseRequest, context: Any) -> pb.DiagnoseResponse:
        """Return every gateway's results; GatewayAway if none is connected."""
        links = tuple(self._gateways)
        if not links:
            raise GatewayAway("no gateway is connected to the service")
        # Before a gateway does anything, it is on disk who had it done.
        await self._journal.commit("Diagnose", (), message=f"{len(links)} gateways", outcome=Outcome.INTENT)
        reports = await asyncio.gather(*map(self._ask, links))
        results = [result for report in reports for result in report]
        failed = sum(result.status != pb.TEST_STATUS_PASSED for result in results)
        await self._journal.commit("Diagnose", (), message=f"{len(results)} tests, {failed} not passed")
        return pb.DiagnoseResponse(results=results)

    async def _ask(self, link: Link) -> list[pb.TestResult]:
        """Return one gateway's results under its certificate's name; one failure if it does not report."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                report = await self._gateways.diagnose(link, (self._certify(link),), self._anchor)
        except TimeoutError:
            return [_failed(link, f"the gateway did not report within {PATIENCE_S:.0f} s")]
        except (GatewayAway, BadCertificate) as error:
            return [_failed(link, error.message)]
        for result in report:
            result.gateway = link.name
        return list(report)

    def _certify(self, link: Link) -> bytes:
        """Return a certificate for the gateway's test drive, DER; BadCertificate if its key may have none."""
        try:
            key = check_key(load_der_public_key(link.hello.diagnosis_spki))
        except (ValueError, UnsupportedAlgorithm):
            raise BadCertificate(f"gateway {link.name} has no key for a test drive") from None
        made = self._issuer.issue_drive(key, DIAGNOSIS_SERIAL, self._now_us(), _DAYS, self._random_bytes)
        return der(made)


def _failed(link: Link, message: str) -> pb.TestResult:
    return pb.TestResult(
        gateway=link.name,
        address=", ".join(link.hello.addresses),
        test=pb.TEST_PING,
        status=pb.TEST_STATUS_FAILED,
        message=message,
    )
