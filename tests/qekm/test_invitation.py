"""The file that lets one server ask once to be one of an estate."""

from __future__ import annotations

import os
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from qekm import keypair, pki
from qekm.clock import now_us
from qekm.errors import BadFile
from qekm.invitation import Invitation
from qekm.model import Role
from qekm.secret import Secret
from qekm.signing import spki_sha256
from qekm.subject import Subject

ESTATE = bytes(range(16))
ISSUER = pki.make_issuer(ESTATE, now_us(), os.urandom)


def leaf(role: Role, name: str, *hosts: str) -> tuple[x509.Certificate, bytes]:
    """Return a certificate and its private key, PEM."""
    key = keypair.make_key()
    subject = Subject(ESTATE, role, name, hosts)
    return ISSUER.issue(subject, key.public_key(), now_us(), 1, os.urandom), keypair.dump_key(key)


SERVER, _ = leaf(Role.SERVER, "server", "ekm1")
CANDIDATE, KEY = leaf(Role.CANDIDATE, "ekm2", "ekm2.example", "10.0.0.2")
OPERATOR, OPERATOR_KEY = leaf(Role.OPERATOR, "eve")
FILE = Invitation("ekm1:443", SERVER, CANDIDATE, Secret(KEY)).dump()


def with_server(was: str, now: str) -> bytes:
    """Return the invitation with some bytes of its last certificate changed, hex."""
    der = SERVER.public_bytes(Encoding.DER)
    assert bytes.fromhex(was) in der
    altered = der.replace(bytes.fromhex(was), bytes.fromhex(now), 1)
    return FILE.replace(pki.pem(SERVER), DER_cert_to_PEM_cert(altered).encode())


def test_what_was_written_is_read() -> None:
    found = Invitation.parse(FILE)
    assert (found.address, found.server, found.certificate) == ("ekm1:443", SERVER, CANDIDATE)
    assert found.key.reveal() == KEY
    assert found.subject == Subject(ESTATE, Role.CANDIDATE, "ekm2", ("ekm2.example", "10.0.0.2"))
    assert found.fingerprint == spki_sha256(keypair.check_key(SERVER.public_key()))
    assert found.expire_time_us == pki.end_us(CANDIDATE)


def test_a_person_reads_where_it_leads_and_until_when() -> None:
    head = FILE.decode().split("\n\n")[0].splitlines()
    assert head[0].startswith("Q-EKM invitation 1: keep it secret")
    assert head[1] == "server: ekm1:443"
    assert [line.partition(":")[0] for line in head[2:]] == ["key", "for", "until"]


def test_the_key_is_in_no_repr() -> None:
    told = repr(Invitation.parse(FILE))
    assert "PRIVATE" not in told
    assert "Secret" not in told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        pki.pem(CANDIDATE) + KEY + pki.pem(SERVER),
        FILE.replace(b"invitation 1", b"invitation 2"),
        FILE[:-40],
        FILE.replace(KEY, b""),
        FILE.replace(KEY, leaf(Role.CANDIDATE, "ekm2")[1]),
        Invitation("ekm1:443", SERVER, OPERATOR, Secret(OPERATOR_KEY)).dump(),
        with_server("06072a8648ce3d0201", "06072a8648ce3d0209"),
        with_server("a003020102", "a003020107"),
    ],
    ids=[
        *("empty", "text", "no head", "newer", "cut off", "no key", "another key", "another role"),
        *("a key of no kind", "a certificate of no version"),
    ],
)
def test_what_is_no_invitation_is_refused(content: bytes) -> None:
    with pytest.raises(BadFile):
        Invitation.parse(content)


@given(st.integers(0, len(FILE) - 1), st.integers(0, 255))
def test_an_altered_file_is_refused_or_means_what_it_says(place: int, byte: int) -> None:
    altered = FILE[:place] + bytes([byte]) + FILE[place + 1 :]
    try:
        found = Invitation.parse(altered)
    except BadFile:
        return
    assert found.subject.role is Role.CANDIDATE
