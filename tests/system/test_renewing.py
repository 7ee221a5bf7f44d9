"""Certificates that are about to end, or have ended, with the real processes."""

from __future__ import annotations

import time
from pathlib import Path

from cryptography import x509

from qekm import keypair, pki
from qekm.dkp.frame import MessageType
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.server_pb2 import GetStatusRequest, GetVersionRequest
from tests.fakes.pki import DAY_US, now_us
from tests.system.processes import Estate, made, run_server
from tests.system.staging import Stage


def leaf(estate: Estate, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(estate.home.certificate(name).read_bytes())


def test_a_gateway_renews_its_certificate_and_no_key_request_fails_meanwhile(tmp_path: Path) -> None:
    with made(tmp_path / "home", keys=1024, drive__acceptUnknownDrives="false") as estate:
        estate.start(gateway=False)
        key = keypair.make_key()
        request = pb.IssueCertificateRequest(
            csr=keypair.make_request(key), role=pb.ROLE_GATEWAY, name="gateway", hosts=["localhost"], days=10
        )
        with estate.client() as client:
            issued = client.certificates.IssueCertificate(request)
            estate.home.key("gateway").write_bytes(keypair.dump_key(key))
            estate.home.certificate("gateway").write_bytes(issued.pem)
            estate.start()
            estate.wait_gateway()
            stage = Stage(estate, client).set_up()
            drives, kinds, links = [stage.drive() for _ in range(4)], [], []
            end = time.monotonic() + 20
            while len(links) < 20 and time.monotonic() < end:
                kinds += [stage.play(drive)[0][5] for drive in drives]
                gateways = client.server.GetStatus(GetStatusRequest()).gateways
                links += [gateways] if len(gateways) == 2 else []
        assert set(kinds) == {MessageType.COMPLETE} and len(links) == 20  # the old one stays for its sessions
        after = leaf(estate, "gateway")
        assert pki.serial_of(after) != issued.certificate.serial and after.public_key() == key.public_key()
        assert pki.end_us(after) > now_us() + 390 * DAY_US
        assert estate.gateway is not None
        assert "the gateway's certificate was renewed" in estate.gateway.said()
        assert set(estate.stop().values()) == {0}


def test_an_estate_whose_administrator_was_locked_out_is_mended_offline(tmp_path: Path) -> None:
    with made(tmp_path / "home", keys=1) as estate:
        before = leaf(estate, "administrator")
        estate.start(gateway=False)
        busy = run_server("renew", "administrator", "--home", estate.home.path)
        assert busy.returncode == 6 and "qekm server stop" in busy.stderr
        estate.stop()
        assert run_server("renew", "administrator", "--home", estate.home.path).returncode == 0
        assert leaf(estate, "administrator") != before
        estate.start(gateway=False)
        with estate.client() as client:
            client.server.GetVersion(GetVersionRequest())
