"""ServerService over the wire."""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm import __version__
from qekm.keypair import make_key, make_request
from qekm.v1 import certificates_pb2, drives_pb2, groups_pb2, sharing_pb2
from qekm.v1 import server_pb2 as pb
from qekm_gateway.simulator.authority import make_authority
from tests.qekm.api.running import Running, running
from tests.waiting import PATIENCE_S

DAY_US = 86_400 * 1_000_000


async def status(run: Running) -> pb.GetStatusResponse:
    """Ask how the service is."""
    return await run.client.server.GetStatus(pb.GetStatusRequest())


async def test_the_status_tells_version_process_counts_and_the_server_anchor(run: Running) -> None:
    told = await status(run)
    assert (told.version, told.pid) == (__version__, os.getpid())
    assert (told.drive_count, told.ready_key_count) == (0, 64)
    assert told.start_time.ToMicroseconds() <= run.clock()
    key = x509.load_der_x509_certificate(told.anchor_certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert told.anchor == sha256(spki).digest()


async def test_the_version_is_told(run: Running) -> None:
    assert (await run.client.server.GetVersion(pb.GetVersionRequest())).version == __version__


async def test_a_connected_gateway_is_told_and_a_gone_one_is_not(run: Running) -> None:
    assert "no gateway is connected: no drive is served" in (await status(run)).degraded
    async with run.gateway():
        while not (told := await status(run)).gateways:
            await asyncio.sleep(0.01)
        (gateway,) = told.gateways
        assert (gateway.name, gateway.version, gateway.pid) == ("gateway", "9.9.9", 4711)
        assert list(gateway.addresses) == ["127.0.0.1:3801"]
        assert gateway.HasField("connect_time")
        assert not any("gateway" in line for line in told.degraded)
    while (await status(run)).gateways:
        await asyncio.sleep(0.01)


async def test_what_is_not_as_it_should_be_is_told_a_line_each(run: Running) -> None:
    authority = make_authority(run.clock()).certificate.public_bytes(Encoding.DER)
    await run.client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=authority))
    async with run.gateway():
        while not (await status(run)).gateways:
            await asyncio.sleep(0.01)
        assert list((await status(run)).degraded) == [
            "keys are on one disk only: keystore.protect=none",
            "twoPerson=on, and only one person could approve: issue a second one's certificate",
            "administrator/administrator has no command password: its certificate alone is enough",
        ]
        run.clock.ahead_us += 370 * DAY_US
        lines = list((await status(run)).degraded)
        ending, overdue = {line.split(" of ")[1] for line in lines[3:]}, " and was not renewed by itself"
        assert ending == {
            "administrator/administrator ends in 26 days",
            *(f"{who}/{who} ends in 26 days{overdue}" for who in ("server", "gateway")),
        }


async def test_a_certificate_that_has_ended_is_told_until_it_is_revoked(run: Running) -> None:
    request = certificates_pb2.IssueCertificateRequest(
        csr=make_request(make_key()), role=certificates_pb2.ROLE_OPERATOR, name="olga", days=1
    )
    issued = (await run.client.certificates.IssueCertificate(request)).certificate
    run.clock.ahead_us += 2 * DAY_US
    told = f"certificate {issued.serial} of operator/olga has ended: renew or revoke it"
    assert told in (await status(run)).degraded
    await run.client.certificates.RevokeCertificate(
        certificates_pb2.RevokeCertificateRequest(serial=issued.serial)
    )
    assert not any("olga" in line for line in (await status(run)).degraded)


async def test_a_low_pool_is_told_but_not_of_a_group_that_reuses(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=10) as run:
        update = groups_pb2.UpdateGroupRequest(
            group=groups_pb2.Group(name="default", on_exhaustion=groups_pb2.ON_EXHAUSTION_REFUSE)
        )
        update.update_mask.paths.append("on_exhaustion")
        await run.client.groups.UpdateGroup(update)
        owner = run.service.owners.keystore
        for key in owner.page(limit=8):
            owner.assign(key, 1, ("001300000392", b"", ""))
        assert "group default: 2 of 10 keys are left to give out" in (await status(run)).degraded
        update.group.on_exhaustion = groups_pb2.ON_EXHAUSTION_REUSE
        await run.client.groups.UpdateGroup(update)
        assert not any("left to give out" in line for line in (await status(run)).degraded)


async def test_a_group_of_keys_from_elsewhere_is_no_low_pool_unless_a_drive_draws_from_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", keys=10) as run:
        await run.unlock()
        keys = [sharing_pb2.ClearKey(alias="OLD1", material=bytes(32))]
        await run.client.sharing.ImportKeys(iter([sharing_pb2.ImportKeysRequest(keys=keys)]))
        assert not any("left to give out" in line for line in (await status(run)).degraded)
        drive = drives_pb2.Drive(serial="001300000392", group="imported")
        await run.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drive))
        assert "group imported: 0 of 1 keys are left to give out" in (await status(run)).degraded


async def test_an_empty_default_group_is_told(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=0) as run:
        assert "group default, the default, holds no key" in (await status(run)).degraded


async def test_stop_is_recorded_answered_and_ends_the_service(run: Running) -> None:
    await run.client.server.StopServer(pb.StopServerRequest())
    await asyncio.wait_for(run.service.wait(), PATIENCE_S)
    assert (await run.records())[-1].event == "rpc.StopServer"
