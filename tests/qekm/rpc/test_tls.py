"""Credentials that follow their files, and TLS 1.3 only."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from grpc import aio

from qekm import keypair
from qekm import pki as certificates
from qekm.errors import BadCertificate, BadConfiguration, NotInitialised
from qekm.model import Role
from qekm.rpc import tls
from qekm.subject import Subject
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki, now_us

VERSION = "/qekm.v1.ServerService/GetVersion"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Return an estate."""
    return Pki(tmp_path / "home")


async def _served_by(edge: Edge, files: tls.Files | str = "administrator") -> str:
    """Make one call on a connection of its own and return the serial of the server's certificate."""
    async with edge.dial(files) as channel:
        await channel.unary_unary(VERSION)(b"", timeout=10)
    return await asyncio.to_thread(_look, edge.port)


def _look(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        leaf = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    return certificates.serial_of(leaf)


def _reissue(pki: Pki) -> tuple[bytes, bytes]:
    """Return a new certificate of the server with a new key, PEM."""
    key = keypair.make_key()
    subject = Subject(pki.estate, Role.SERVER, "server", ("localhost", "127.0.0.1"))
    leaf = pki.issuer.issue(subject, key.public_key(), now_us(), 10, os.urandom)
    return certificates.pem(leaf), keypair.dump_key(key)


async def test_the_next_connection_gets_the_new_certificate_and_the_open_one_lives_on(pki: Pki) -> None:
    async with Edge(pki).serving() as edge, edge.dial("administrator") as open_channel:
        ask = open_channel.unary_unary(VERSION)
        await ask(b"", timeout=10)
        before = await _served_by(edge)
        chain, key = _reissue(pki)
        pki.home.key("server").write_bytes(key)
        assert await _served_by(edge) == before  # the key alone does not fit: the pair before stays in force
        pki.home.certificate("server").write_bytes(chain)
        assert await _served_by(edge) == pki.serial("server") != before
        await ask(b"", timeout=10)


async def test_damaged_or_missing_files_leave_what_was_in_force(pki: Pki) -> None:
    kept = pki.home.path / "kept.pem"
    kept.write_bytes(pki.home.trust.read_bytes())
    client = pki.files("administrator", trust=kept)
    stranger = Pki(pki.home.path / "stranger").files("administrator", trust=kept)
    async with Edge(pki).serving() as edge:
        before = await _served_by(edge, client)
        for path in (pki.home.certificate("server"), pki.home.key("server"), pki.home.trust):
            good = path.read_bytes()
            for bad in (b"", b"junk", good[:100]):
                path.write_bytes(bad)
                with pytest.raises(aio.AioRpcError):
                    await _served_by(edge, stranger)
                assert await _served_by(edge, client) == before
            path.unlink()
            assert await _served_by(edge, client) == before
            path.write_bytes(good)
        assert await _served_by(edge, client) == before


async def test_a_new_authority_is_trusted_and_a_removed_one_is_not_from_the_next_connection(pki: Pki) -> None:
    new = certificates.make_issuer(pki.estate, now_us(), os.urandom)
    key = keypair.make_key()
    leaf = new.issue(Subject(pki.estate, Role.AUDITOR, "new"), key.public_key(), now_us(), 10, os.urandom)
    old_trust = pki.home.path / "old.pem"
    old_trust.write_bytes(pki.home.trust.read_bytes())
    files = tls.Files(pki.keep("new", leaf, key).certificate, pki.home.key("new"), old_trust)
    administrator = pki.files("administrator", trust=old_trust)

    async def ask(who: tls.Files) -> bool:
        async with edge.dial(who) as channel:
            try:
                await channel.unary_unary(VERSION)(b"", timeout=10)
            except aio.AioRpcError:
                return False
            return True

    async with Edge(pki).serving() as edge:
        assert (await ask(administrator), await ask(files)) == (True, False)
        tls.publish(
            pki.server,
            pki.server.certificate.read_bytes(),
            certificates.pem(new.certificate, pki.issuer.certificate),
        )
        assert (await ask(administrator), await ask(files)) == (True, True)
        tls.publish(pki.server, pki.server.certificate.read_bytes(), certificates.pem(new.certificate))
        assert (await ask(administrator), await ask(files)) == (False, True)


def test_what_is_published_is_whole_and_for_the_owner_only(pki: Pki) -> None:
    previous = os.umask(0)
    try:
        tls.publish(pki.server, b"certificate", b"trust")
    finally:
        os.umask(previous)
    assert (pki.server.certificate.read_bytes(), pki.server.trust.read_bytes()) == (b"certificate", b"trust")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (pki.server.certificate, pki.server.trust)} == {
        0o600
    }
    assert not [path.name for path in pki.home.pki.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_published_leaves_what_was_there(pki: Pki, tmp_path: Path) -> None:
    trust = pki.home.trust.read_bytes()
    blocked = tls.Files(tmp_path / "folder" / "x.pem", pki.home.key("server"), pki.home.trust)
    (tmp_path / "folder" / "x.pem").mkdir(parents=True)
    with pytest.raises(OSError):
        tls.publish(blocked, b"certificate", trust)
    assert pki.home.trust.read_bytes() == trust
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["x.pem"]


def test_a_missing_file_is_named(pki: Pki) -> None:
    pki.home.key("server").unlink()
    with pytest.raises(NotInitialised, match=r"server\.key"):
        tls.server_credentials(pki.server)
    pki.home.key("server").mkdir()
    with pytest.raises(BadConfiguration, match=r"server\.key"):
        tls.client_credentials(pki.server)


def test_files_that_make_no_sense_are_named_and_do_not_end_the_process(pki: Pki) -> None:
    """Handed over as they are, grpc would abort the whole process (seen with 1.85)."""
    for path, told in (
        (pki.home.trust, "no certificate that can be read"),
        (pki.server.certificate, "no certificate and its key"),
        (pki.server.key, "no certificate and its key"),
    ):
        good = path.read_bytes()
        locked = keypair.make_key().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        for bad in (b"", b"junk", good[:200], pki.home.key("gateway").read_bytes(), locked):
            path.write_bytes(bad)
            for make in (tls.client_credentials, tls.server_credentials):
                with pytest.raises(BadCertificate, match=told):
                    make(pki.server)
        path.write_bytes(good)
    tls.client_credentials(pki.server)


@pytest.mark.parametrize(
    ("imports", "outcome"),
    [
        ("import qekm.rpc, grpc", "ok"),
        ("from qekm.rpc import tls", "ok"),
        ("import grpc", "grpc was imported before qekm.rpc: TLS 1.2 could not be switched off"),
        ("import os, grpc; os.environ['GRPC_SSL_CIPHER_SUITES'] = 'AES128-SHA'", "grpc was imported before"),
    ],
)
def test_a_process_that_was_told_too_late_does_not_serve(pki: Pki, imports: str, outcome: str) -> None:
    paths = [str(path) for path in (pki.server.certificate, pki.server.key, pki.server.trust)]
    code = f"""{imports}
from pathlib import Path
from qekm.errors import BadConfiguration
from qekm.rpc import tls
try:
    tls.server_credentials(tls.Files(*map(Path, {paths})))
    print("ok")
except BadConfiguration as error:
    print(error)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=environment, check=True
    )
    assert outcome in done.stdout
