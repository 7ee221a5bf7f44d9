"""Certificates that are about to end, or have ended, with the real processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from qekm import keypair, pki
from qekm.dkp.frame import MessageType
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.server_pb2 import GetStatusRequest, GetVersionRequest
from tests.fakes.pki import DAY_US, now_us
from tests.system.command import ask_qekm
from tests.system.processes import Estate, made, run_server
from tests.system.staging import Stage
from tests.waiting import PATIENCE_S, wait_for

LOOKS = 10  # with four exchanges each, while both streams of a gateway stand: half a minute


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
            end = time.monotonic() + PATIENCE_S
            while len(links) < LOOKS and time.monotonic() < end:
                kinds += [stage.play(drive)[0][5] for drive in drives]
                gateways = client.server.GetStatus(GetStatusRequest()).gateways
                links += [gateways] if len(gateways) == 2 else []
        assert set(kinds) == {MessageType.COMPLETE}
        assert len(links) == LOOKS, "the old one stays for its sessions"
        after = leaf(estate, "gateway")
        assert pki.serial_of(after) != issued.certificate.serial and after.public_key() == key.public_key()
        assert pki.end_us(after) > now_us() + 390 * DAY_US
        assert estate.gateway is not None
        assert "the gateway's certificate was renewed" in estate.gateway.said()
        assert set(estate.stop().values()) == {0}


class Asking:
    """Calls without pause until it is told to end: over one connection, or a new one for each."""

    def __init__(self, estate: Estate, *, anew: bool) -> None:
        self.count, self.failures = 0, list[str]()
        self._estate, self._anew, self._ending = estate, anew, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self._estate.client() as client:
                    self._ask(client)
                    while not (self._anew or self._ending.is_set()):
                        self._ask(client)
            except Exception as error:  # whatever it is: it is what the test is about
                self.failures.append(f"{type(error).__name__}: {error}")

    def _ask(self, client: Any) -> None:
        client.server.GetVersion(GetVersionRequest(), timeout=60)
        self.count += 1

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()
        self._thread.join()


def test_no_request_fails_while_every_certificate_is_renewed(tmp_path: Path) -> None:
    with made(tmp_path / "home", keys=256, drive__acceptUnknownDrives="false") as estate:
        estate.start()
        with estate.client() as client:
            stage = Stage(estate, client).set_up()
            drive, kinds = stage.drive(), list[int]()
            askings = [Asking(estate, anew=False), Asking(estate, anew=True)]
            names = "administrator", "gateway", "server"
            serials = {name: {pki.serial_of(leaf(estate, name))} for name in names}
            for words in (("--all",), ("server", "--revoke-old"), ("--expiring", "400")):
                counts = [each.count for each in askings]
                renewed = ask_qekm(estate.home, "certificates", "renew", *words)
                assert len(renewed.get("certificates", names[:1])) == (
                    3 if words != ("server", "--revoke-old") else 1
                )
                for name in names:
                    serials[name].add(pki.serial_of(leaf(estate, name)))
                kinds += [stage.play(drive)[0][5] for _ in range(5)]
                wait_for(lambda: all(a.count > c + 1 for a, c in zip(askings, counts, strict=True)))  # noqa: B023
            for each in askings:
                each.end()
            assert [each.failures for each in askings] == [[], []]
            assert set(kinds) == {MessageType.COMPLETE}
            assert {name: len(found) for name, found in serials.items()} == dict(
                zip(names, (3, 3, 4), strict=True)
            )
            assert estate.gateway is not None and estate.gateway.alive
        print(f"{[each.count for each in askings]} calls, {len(kinds)} exchanges, 7 renewals, 0 failures")
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
