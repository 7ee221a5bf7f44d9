"""The gateway's own certificate: renewed in time over its own link, with the real service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from grpc import aio

from qekm import pki
from qekm.errors import ServiceAway
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import client_credentials
from qekm_gateway.faults import Incidents
from qekm_gateway.renewing import Renewal
from tests.fakes.pki import DAY_US, now_us
from tests.qekm.api.test_certificates import Service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Return a running service."""
    service = Service(tmp_path / "home")
    async with service.edge.serving({}, service.register):
        yield service


class Site:
    """A gateway's renewal, its clock and how often it reconnected."""

    def __init__(self, service: Service, target: str = "") -> None:
        self.files = service.pki.files("gateway")
        self.ahead_us = 0
        self.reconnects = 0
        self.failure: Exception | None = None
        self.incidents = Incidents()

        def dial() -> aio.Channel:
            return open_async_channel(target or service.edge.target, client_credentials(self.files))

        self.renewal = Renewal(
            self.files, dial, self.reconnect, self.incidents, lambda: now_us() + self.ahead_us
        )

    async def reconnect(self) -> None:
        """Count, or fail as told."""
        if self.failure is not None:
            raise self.failure
        self.reconnects += 1

    @property
    def leaf(self) -> x509.Certificate:
        """Return the certificate that is there now."""
        return x509.load_pem_x509_certificate(self.files.certificate.read_bytes())


async def test_it_is_renewed_for_the_same_key_when_less_than_30_days_are_left(service: Service) -> None:
    site = Site(service)
    before = site.leaf
    await site.renewal.look()
    assert site.leaf == before and site.reconnects == 0
    site.ahead_us = (pki.LEAF_DAYS - 29) * DAY_US
    await site.renewal.look()
    assert site.leaf != before and site.leaf.public_key() == before.public_key()
    assert site.leaf.subject == before.subject and site.reconnects == 1
    assert [event for event, *_ in service.store.told] == ["rpc.RenewCertificate"]
    assert service.store.told[0][1] == "gateway/gateway"
    site.ahead_us = 0
    await site.renewal.look()
    assert site.reconnects == 1


async def test_files_that_somebody_else_replaced_come_into_use(service: Service) -> None:
    site = Site(service)
    async with service.client() as admin:
        await service.renew(admin, "gateway", service.pki.serial("gateway"))
    site.failure = ServiceAway("not now")
    await site.renewal.look()
    assert site.reconnects == 0
    site.failure = None
    for _ in range(2):
        await site.renewal.look()
    assert site.reconnects == 1


async def test_what_fails_is_logged_and_tried_again(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(service, "127.0.0.1:1")
    site.ahead_us = (pki.LEAF_DAYS - 29) * DAY_US
    before = site.leaf
    with caplog.at_level(logging.ERROR):
        await site.renewal.look()
        site.files.certificate.write_text("odd")
        await site.renewal.look()
        site.files.certificate.unlink()
        await site.renewal.look()
    assert [each.message.count("is not renewed") for each in caplog.records] == [1, 1, 1]
    site.files.certificate.write_bytes(pki.pem(before))
    good = Site(service)
    good.ahead_us = site.ahead_us
    task = asyncio.create_task(good.renewal.run())
    while not good.reconnects:
        await asyncio.sleep(0.01)
    task.cancel()
    assert good.leaf != before and site.incidents.count == good.incidents.count == 0
