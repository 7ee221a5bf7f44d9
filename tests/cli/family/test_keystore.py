"""list, listcerts, refreshks."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from qekm.v1 import sharing_pb2 as pb
from tests.cli.conftest import Qekm
from tests.cli.fake_service import ALIAS, FakeService
from tests.cli.fake_service.parts import moment

ALIASES = [f"Alias = {ALIAS.format(number)}" for number in range(1, 7)]


def certificate(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2027, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, start, start + timedelta(days=9))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, service: FakeService) -> None:
    """Give the service certificates that can be read, and a partner."""
    pem = b"".join(map(certificate, ("encrypts", "signs", "authority"))).decode()
    response = pb.GetCertificatesResponse(pem=pem, fingerprint=bytes(32))
    service.sharing.GetCertificates = lambda request: response  # type: ignore[method-assign]
    service.sharing.partners["acme"] = pb.Partner(
        name="acme", subject="CN=Acme", fingerprint=bytes([7] * 32), expire_time=moment()
    )


def test_list_tells_all_that_is_in_the_keystore(qekm: Qekm) -> None:
    assert qekm("list").lines == [
        "Certificates: 4",
        "Alias = own-encryption",
        "Alias = own-signature",
        "Alias = own-authority",
        "Alias = acme",
        "Private keys: 2",
        "Alias = own-encryption",
        "Alias = own-signature",
        "Symmetric keys: 6",
        *ALIASES,
    ]


def test_list_tells_one_kind(qekm: Qekm) -> None:
    assert qekm("list", "-keysym").lines == ["Symmetric keys: 6", *ALIASES]
    assert qekm("list", "-cert").out == qekm("listcerts").out
    assert qekm("list", "-key").lines[0] == "Private keys: 2"
    assert set(qekm("list", "-key", "-keysym", "--json").document) == {"private_keys", "symmetric_keys"}


def test_list_tells_more_when_asked(qekm: Qekm) -> None:
    assert qekm("list", "-keysym", "-alias", ALIAS.format(1).lower(), "-v").lines == [
        "Symmetric keys: 1",
        ALIASES[0],
        "  State = active",
        "  KeyGroup = default",
        "  Algorithm = AES-256",
        "  Created = 2027-01-15T08:00:00Z",
        "  VolSer = E01001L4",
    ]
    told = qekm("listcerts", "-alias", "OWN-signature", "-verbose")
    assert told.lines[:4] == [
        "Certificates: 1",
        "Alias = own-signature",
        "  Subject = CN=signs",
        "  Expires = 2027-01-10T00:00:00Z",
    ]
    assert qekm("listcerts", "-alias", "acme", "-v").lines[-1] == f"  SHA-256 = {'07' * 32}"


def test_an_entry_that_is_not_there_is_an_error(qekm: Qekm) -> None:
    for words in (("list", "-alias", "none"), ("listcerts", "-alias", ALIAS.format(1))):
        told = qekm(*words)
        assert (told.code, told.out) == (3, "")
        assert "the keystore has no such entry" in told.err
    assert qekm("list", "extra").code == 2


def test_no_key_material_is_told(qekm: Qekm) -> None:
    told = qekm("list", "-v", "--json")
    assert "material" not in told.out
    assert "PRIVATE KEY" not in told.out


def test_refreshks_has_nothing_to_read(qekm: Qekm) -> None:
    told = qekm("refreshks")
    assert told.out == "the keystore is as the service left it, with 1,024 keys; nothing to read anew\n"
