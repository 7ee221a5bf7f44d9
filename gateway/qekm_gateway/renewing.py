"""Renew the gateway's own certificate in time, and have what the files hold come into use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from cryptography import x509
from grpc import aio

from qekm.errors import BadCertificate, NotInitialised, QekmError
from qekm.keypair import load_key, make_request
from qekm.rpc.status import from_rpc_error
from qekm.rpc.tls import Files, publish
from qekm.v1.certificates_pb2 import RenewCertificateRequest
from qekm.v1.certificates_pb2_grpc import CertificatesServiceStub
from qekm_gateway.faults import Incidents

_log = logging.getLogger(__name__)

EARLY_US = 30 * 86_400 * 1_000_000  # renewed this long before its end
LOOK = 3_600.0  # seconds between two looks; what failed is tried again at the next
DEADLINE = 30.0  # seconds for the service's answer


class Renewal:
    """Looks at the certificate at the start and every hour; nothing here ends the gateway."""

    def __init__(
        self,
        files: Files,
        dial: Callable[[], aio.Channel],
        reconnect: Callable[[], Awaitable[None]],
        incidents: Incidents,
        now_us: Callable[[], int],
    ) -> None:
        """Take the gateway's files; `reconnect` leaves the streams that show what the files held before."""
        self._files = files
        self._dial = dial
        self._reconnect = reconnect
        self._incidents = incidents
        self._now_us = now_us
        self._shown = self._state()

    async def run(self) -> None:
        """Look, and look again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Renew the certificate if it is time; reconnect if the files were replaced, by whomever."""
        try:
            if self._ends_soon():
                await self._renew()
            state = self._state()
            if state != self._shown:
                await self._reconnect()
                self._shown = state
                _log.info("the service is shown the certificate that was renewed")
        except QekmError as error:
            _log.error("the gateway's certificate is not renewed: %s (%s)", error.message, error.advice)
        except Exception as error:
            number = self._incidents.record(error)
            _log.error("the gateway's certificate is not renewed: internal error, incident %s", number)

    def _ends_soon(self) -> bool:
        try:
            leaf = x509.load_pem_x509_certificate(self._files.certificate.read_bytes())
        except OSError as error:
            raise NotInitialised(f"cannot read {error.filename}: {error.strerror}") from None
        except ValueError:
            raise BadCertificate(f"{self._files.certificate} cannot be read as PEM") from None
        end_us = int(leaf.not_valid_after_utc.timestamp() * 1e6)
        return end_us - self._now_us() < EARLY_US

    async def _renew(self) -> None:
        """Have the service sign a request of the present key, and replace the files."""
        request = RenewCertificateRequest(csr=make_request(load_key(self._files.key.read_bytes())))
        try:
            async with self._dial() as channel:
                stub = CertificatesServiceStub(channel)
                response = await stub.RenewCertificate(request, timeout=DEADLINE)
        except aio.AioRpcError as error:
            raise from_rpc_error(error, "its address") from error
        await asyncio.to_thread(publish, self._files, response.pem, response.trust_pem)
        _log.info("the gateway's certificate was renewed, serial %s", response.certificate.serial)

    def _state(self) -> object:
        try:
            return self._files.state()
        except OSError:
            return None
