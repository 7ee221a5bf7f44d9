"""`qekm certificates export, import, partners and forget` against a service in memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.v1 import sharing_pb2 as pb
from tests.qekm.interchange.organisation import Identity, root, rsa_key

from .conftest import Qekm
from .fake_service import FakeService
from .fake_service.sharing import PEM
from .terminal import typed_to_qekm

ACME = root("Acme", uses=["key_cert_sign"])
RECEIVER = ACME.issue("Keys for Acme", rsa_key("acme"), uses=["key_encipherment"])
TOLD = RECEIVER.fingerprint.hex()


@pytest.fixture
def theirs(tmp_path: Path) -> str:
    """Give a partner's file."""
    path = tmp_path / "theirs.pem"
    path.write_bytes(_pem(RECEIVER, ACME))
    return str(path)


def _pem(*identities: Identity) -> bytes:
    return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in identities)


def test_our_certificates_go_to_a_file_or_the_output_and_the_fingerprint_to_a_person(
    qekm: Qekm, tmp_path: Path
) -> None:
    told = qekm("certificates", "export")
    assert told.out == PEM
    assert told.err.startswith("tell the partner over another way, SHA-256: 0001 0203 0405 ")
    told = qekm("certificates", "export", "--output", str(tmp_path / "ours.pem"))
    assert (tmp_path / "ours.pem").read_text() == PEM
    assert told.out.endswith(" 1c1d 1e1f\n")
    assert qekm("certificates", "export", "--json").document == {
        "pem": PEM,
        "fingerprint": bytes(range(32)).hex(),
    }


def test_a_partner_is_taken_in_with_the_fingerprint_that_was_told(
    qekm: Qekm, service: FakeService, theirs: str
) -> None:
    digits = " ".join(TOLD[start : start + 4] for start in range(0, 64, 4)).upper()
    told = qekm("certificates", "import", theirs, "--name", "acme", "--fingerprint", digits)
    assert (told.code, told.out) == (0, "partner acme taken in: CN=Keys for Acme\n")
    assert service.sharing.created == [
        pb.CreatePartnerRequest(name="acme", pem=Path(theirs).read_text(), fingerprint=RECEIVER.fingerprint)
    ]
    assert qekm("certificates", "import", theirs, "--name", "acme", "--fingerprint", TOLD).code == 4


def test_a_certificate_in_der_is_taken_too_and_what_it_lacks_is_told(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.der"
    file.write_bytes(RECEIVER.certificate.public_bytes(Encoding.DER))
    told = qekm("certificates", "import", str(file), "--name", "acme", "--fingerprint", TOLD)
    assert told.out.endswith("; it named no certificate that signs, so nothing can come from it\n")
    assert service.sharing.created[0].pem == _pem(RECEIVER).decode()


@pytest.mark.parametrize("digits", ["", "abcd", TOLD[:-1], TOLD + "0", "g" * 64], ids=range(5))
def test_a_fingerprint_that_is_none_is_refused(
    qekm: Qekm, service: FakeService, theirs: str, digits: str
) -> None:
    told = qekm("certificates", "import", theirs, "--name", "acme", "--fingerprint", digits)
    assert told.code == 2
    assert "is not a SHA-256 fingerprint" in told.err
    assert service.sharing.created == []


def test_without_a_person_or_a_fingerprint_nobody_is_taken_in(
    qekm: Qekm, service: FakeService, theirs: str
) -> None:
    told = qekm("certificates", "import", theirs, "--name", "acme")
    assert told.code == 2
    assert "--fingerprint HEX" in told.err
    assert service.sharing.created == []


@pytest.mark.parametrize(
    "answer", ["yes", TOLD, TOLD[:16].upper(), " ".join(TOLD[:20]), TOLD[:20]], ids=range(5)
)
def test_a_person_compares_it_on_a_terminal(theirs: str, answer: str) -> None:
    code, screen = typed_to_qekm(["certificates", "import", theirs, "--name", "acme"], [answer])
    assert code == 0, screen
    assert "Subject  CN=Keys for Acme" in screen
    assert " ".join(TOLD[start : start + 4] for start in range(0, 64, 4)) in screen
    assert "partner acme taken in" in screen


@pytest.mark.parametrize("answer", ["", "y", "no", TOLD[:15], TOLD[1:20], "0" * 64, TOLD + "0"], ids=range(7))
def test_any_other_answer_takes_nobody_in(theirs: str, answer: str) -> None:
    code, screen = typed_to_qekm(["certificates", "import", theirs, "--name", "acme"], [answer])
    assert code == 2
    assert "the fingerprint was not confirmed" in screen


def test_partners_are_listed_and_forgotten(qekm: Qekm, service: FakeService, theirs: str) -> None:
    for name in ("acme", "bell", "coyote"):
        qekm("certificates", "import", theirs, "--name", name, "--fingerprint", TOLD)
    told = qekm("certificates", "partners")
    assert told.lines[0].split() == ["NAME", "SIGNS", "EXPIRES", "FINGERPRINT", "SUBJECT"]
    assert [line.split()[0] for line in told.lines[1:]] == ["acme", "bell", "coyote"]
    assert told.lines[1].split()[3] == TOLD[:16]
    assert len(qekm("certificates", "partners", "--json").document["partners"]) == 3
    assert qekm("certificates", "forget", "bell").out == "partner bell removed\n"
    assert qekm("certificates", "forget", "bell").code == 3
    assert service.sharing.partners.keys() == {"acme", "coyote"}


def test_files_without_certificates_are_refused(qekm: Qekm, tmp_path: Path) -> None:
    for name, content in (("text", b"x"), ("huge", bytes(100_000)), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        told = qekm("certificates", "import", str(tmp_path / name), "--name", "x", "--fingerprint", TOLD)
        assert told.code == 2
    assert qekm("certificates", "import", str(tmp_path / "no"), "--name", "x").code == 2


def test_the_fingerprint_is_the_one_that_openssl_prints(theirs: str) -> None:
    words = ["openssl", "x509", "-in", theirs, "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed.strip().split("=")[1].replace(":", "").lower() == TOLD
