"""`qekm certificates` against a service in memory; keys and requests are real."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.configuration.remote import Remote, read_remote
from qekm.errors import BadArgument
from qekm.founding import found
from qekm.keypair import dump_key, make_key
from qekm.properties.listeners import SSL_PORT
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.configuration_pb2 import RefreshConfigurationRequest
from tests.fakes.pki import Pki, now_us

from .conftest import Qekm
from .fake_service import FakeService


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_list_tells_what_is_in_force(qekm: Qekm) -> None:
    told = qekm("certificates", "list")
    assert [line.split()[:4] for line in told.lines[1:3]] == [
        ["person1", "operator", "expired", "2001-09-09T01:46:40Z"],
        ["person2", "operator", "in", "force"],
    ]
    assert told.lines[3].split()[2] == "revoked"
    assert len(qekm("certificates", "list", "--json").document["certificates"]) == 3


def test_issue_makes_the_key_here_and_sends_only_a_request(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    words = "certificates issue gateway gw2 --host gw2.example --host 10.0.0.2 --days 30 --out"
    told = qekm(*words.split(), str(tmp_path))
    assert told.code == 0, told.err
    assert told.out.startswith(
        f"gateway gw2 issued: {tmp_path}/gw2.pem and {tmp_path}/gw2.key, until 2027-01-15T"
    )
    request = service.certificates.requests[0]
    assert (request.role, request.name, list(request.hosts), request.days) == (
        pb.ROLE_GATEWAY, "gw2", ["gw2.example", "10.0.0.2"], 30,
    )  # fmt: skip
    assert x509.load_der_x509_csr(request.csr).is_signature_valid
    key = (tmp_path / "gw2.key").read_bytes()
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert b"PRIVATE" not in request.SerializeToString()
    assert {file.name: mode_of(file) for file in tmp_path.iterdir()} == {
        "gw2.key": 0o600, "gw2.pem": 0o600, "trust.pem": 0o600,
    }  # fmt: skip
    assert (tmp_path / "gw2.pem").read_bytes() == b"LEAF\n"
    assert (tmp_path / "trust.pem").read_bytes() == b"TRUST\n"


def test_issue_overwrites_no_key(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "anna.key").write_text("precious")
    told = qekm("certificates", "issue", "operator", "anna", "--out", str(tmp_path))
    assert told.code == 2
    assert "anna.key exists and is not overwritten" in told.err
    assert (tmp_path / "anna.key").read_text() == "precious"
    assert not service.certificates.requests


def test_issue_leaves_no_key_behind_when_it_is_refused(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    service.certificates.refusal = BadArgument("a server needs a host")
    assert qekm("certificates", "issue", "server", "s", "--out", str(tmp_path)).code == 2
    assert list(tmp_path.iterdir()) == []


def test_issue_names_the_argument_that_is_wrong(qekm: Qekm, tmp_path: Path) -> None:
    for words, told in (
        (("issue", "king", "a"), "'ROLE'"),
        (("issue", "operator", "../a"), "'NAME'"),
        (("issue", "operator", ""), "'NAME'"),
        (("issue", "operator", "a", "--days", "1000"), "'--days'"),
        (("issue", "operator"), "missing argument 'NAME'"),
        (
            ("issue", "operator", "a", "--out", str(tmp_path / "none")),
            f"{tmp_path / 'none' / 'a.key'}: No such",
        ),
    ):
        ended = qekm("certificates", *words)
        assert ended.code == 2
        assert told in ended.err


def home_with(tmp_path: Path, *names: str) -> Path:
    (tmp_path / "pki").mkdir()
    for name in names:
        (tmp_path / "pki" / f"{name}.key").write_bytes(dump_key(make_key()))
        (tmp_path / "pki" / f"{name}.pem").write_bytes(b"OLD\n")
    return tmp_path


def test_renew_takes_the_key_that_is_there_and_replaces_the_certificate(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    home = home_with(tmp_path, "administrator")
    key = (home / "pki/administrator.key").read_bytes()
    told = qekm("certificates", "renew", "--home", str(home))
    assert told.code == 0, told.err
    assert service.certificates.requests[0].serial == ""
    assert x509.load_der_x509_csr(service.certificates.requests[0].csr).is_signature_valid
    assert (home / "pki/administrator.pem").read_bytes() == b"NEW\n"
    assert (home / "pki/trust.pem").read_bytes() == b"TRUST2\n"
    assert (home / "pki/administrator.key").read_bytes() == key


def leaf_pem(days: int = 1) -> bytes:
    """Return a certificate of serial ab12 that ends in so many days."""
    key, name, now = make_key(), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    begun = builder.serial_number(0xAB12).not_valid_before(now).not_valid_after(now + timedelta(days=days))
    return begun.sign(key, SHA256()).public_bytes(Encoding.PEM)


def test_renew_of_another_pair_names_its_serial(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    home = home_with(tmp_path, "gateway")
    told = qekm("certificates", "renew", "gateway", "--home", str(home))
    assert told.code == 2
    assert "the certificate of 'gateway' cannot be read as PEM" in told.err
    (home / "pki/gateway.pem").write_bytes(leaf_pem())
    assert qekm("certificates", "renew", "gateway", "--home", str(home)).code == 0
    assert service.certificates.requests[0].serial == "ab12"
    (home / "pki/gateway.pem").write_bytes(leaf_pem())
    service.certificates.certificates[0].serial = "ab12"
    told = qekm("certificates", "renew", "gateway", "--revoke-old", "--home", str(home))
    assert told.out.endswith("; the one before is revoked\n")
    revoked = service.certificates.requests[-1]
    assert (revoked.serial, revoked.only_this, revoked.reason) == ("ab12", True, "renewed")
    assert (home / "pki/gateway.pem").read_bytes() == b"NEW\n"


def test_renew_takes_all_pairs_or_those_that_end_soon_the_one_in_use_last(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    home = home_with(tmp_path, "administrator", "bob", "zoe")
    for name, days in (("administrator", 5), ("bob", 50), ("zoe", 5)):
        (home / f"pki/{name}.pem").write_bytes(leaf_pem(days))
    (home / "pki/left.key").write_bytes(b"no certificate is beside it")
    rows = qekm("certificates", "renew", "--expiring", "7", "--home", str(home), "--json").document
    assert len(rows["certificates"]) == 2
    assert [each.serial for each in service.certificates.requests] == ["ab12", ""], "zoe, then who asks"
    assert (home / "pki/zoe.pem").read_bytes() == b"NEW\n" != (home / "pki/bob.pem").read_bytes()
    for name in ("administrator", "zoe"):
        (home / f"pki/{name}.pem").write_bytes(leaf_pem(300))
    assert qekm("certificates", "renew", "--expiring", "7", "--home", str(home)).out.startswith("no cert")
    assert qekm("certificates", "renew", "--all", "--home", str(home)).code == 0
    assert len(service.certificates.requests) == 5
    assert qekm("certificates", "renew", "bob", "--all", "--home", str(home)).code == 2


def test_one_that_cannot_be_renewed_keeps_no_other_from_it(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    home = home_with(tmp_path, "administrator", "bob")
    (home / "pki/administrator.pem").write_bytes(leaf_pem())
    told = qekm("certificates", "renew", "--all", "--home", str(home))
    assert told.code == 2 and "bob is not renewed: the certificate of 'bob' cannot be read" in told.err
    assert (home / "pki/administrator.pem").read_bytes() == b"NEW\n"


def test_renew_without_a_usable_key_names_it(qekm: Qekm, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    told = qekm("certificates", "renew", "anna", "--home", str(home))
    assert told.code == 2
    assert f"{home}/pki/anna.key: No such file" in told.err
    (home / "pki/anna.key").write_text("garbage")
    assert (
        "of 'anna': the private key cannot be read"
        in qekm("certificates", "renew", "anna", "--home", str(home)).err
    )


def test_revoke_takes_the_serial_in_any_spelling_and_a_reason(qekm: Qekm, service: FakeService) -> None:
    told = qekm("certificates", "revoke", "00:02", "--reason", "left the company")
    assert told.out == f"operator person2 revoked: {2:040x}\n"
    assert (service.certificates.requests[0].serial, service.certificates.requests[0].reason) == (
        "2", "left the company",
    )  # fmt: skip


def test_revoke_tells_all_that_ended_with_it(qekm: Qekm, service: FakeService) -> None:
    service.certificates.renewals = [pb.Certificate(serial="cd", role=pb.ROLE_OPERATOR, name="person2")]
    told = qekm("certificates", "revoke", "2")
    assert told.out == f"operator person2 revoked: {2:040x}\noperator person2 revoked: cd\n"
    document = qekm("certificates", "revoke", "2", "--json").document
    assert (document["name"], [each["serial"] for each in document["also_revoked"]]) == ("person2", ["cd"])
    assert qekm("certificates", "revoke", "2", "--only-this").out == f"operator person2 revoked: {2:040x}\n"
    assert [request.only_this for request in service.certificates.requests] == [False, False, True]


def test_revoke_refuses_what_is_no_serial_or_unknown(qekm: Qekm) -> None:
    for serial in ("xyz", "", "0", "1" * 41):
        assert qekm("certificates", "revoke", serial).code == 2
    told = qekm("certificates", "revoke", "ffff")
    assert told.code == 3
    assert "qekm certificates list" in told.err


def test_trust_prints_the_authorities_or_writes_them(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    told = qekm("certificates", "trust")
    assert (told.out, told.err) == ("TRUST\n", "")
    service.certificates.rolling = True
    told = qekm("certificates", "trust", "--out", str(tmp_path / "t.pem"))
    assert told.out == ""
    assert "a roll-over is under way: 3 certificates of the old authority" in told.err
    assert (tmp_path / "t.pem").read_bytes() == b"TRUST\n"
    document = qekm("certificates", "trust", "--json").document
    assert document == {"trust_pem": "TRUST\n", "rolling": True, "old_count": 3}


def test_rollover_writes_the_authorities_to_the_home_it_uses(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    home = home_with(tmp_path)
    assert "rollover finish" in qekm("certificates", "rollover", "start", "--home", str(home)).out
    assert (home / "pki/trust.pem").read_bytes() == b"BOTH\n"
    assert qekm("certificates", "rollover", "finish", "--force", "--home", str(home)).code == 0
    assert (home / "pki/trust.pem").read_bytes() == b"ONE\n"
    assert service.certificates.requests[0].force


def test_rollover_without_a_home_of_its_own_answers_only(qekm: Qekm, tmp_path: Path) -> None:
    told = qekm("certificates", "rollover", "start", "--home", str(tmp_path / "none"), "--json")
    assert told.document == {"trust_pem": "BOTH\n"}
    assert qekm("certificates", "rollover").code == 2
    assert qekm("certificates", "rollover", "abort").code == 2


def client_home(qekm: Qekm, place: Path, *words: str) -> Any:
    """Issue a certificate for a person on another machine."""
    return qekm("certificates", "issue", "operator", "olga", "--client-home", str(place), *words)


def test_issue_makes_a_home_for_a_person_on_another_machine(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    place = tmp_path / "olga"
    told = client_home(qekm, place, "--reach", "keys.example")
    assert told.code == 0, told.err
    assert told.lines == [
        f"operator olga issued: {place}, until 2027-01-15T08:00:01Z",
        "it talks to keys.example:443: hand it over, and on the other machine name it in QEKM_HOME",
        "from another machine a password is needed, too: qekm accounts add olga --role operator",
    ]
    files = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
    assert files == {
        "ClientKeyManagerConfig.properties",
        *("pki/olga.key", "pki/olga.pem", "pki/trust.pem"),
    }
    assert {mode_of(place / name) for name in files} == {0o600}
    assert (mode_of(place), mode_of(place / "pki")) == (0o755 & mode_of(place), 0o700)
    assert read_remote(place / "ClientKeyManagerConfig.properties") == Remote("keys.example", 443, "olga")
    service.accounts.passwords[pb.ROLE_OPERATOR, "olga"] = b"x"
    service.server.status.ssl_port = 0  # nothing listens there now
    service.configuration.add(f"{SSL_PORT}=1443")
    service.configuration.RefreshConfiguration(RefreshConfigurationRequest())
    told = client_home(qekm, tmp_path / "again", "--reach", "::1")
    assert told.lines[1:] == [
        "it talks to [::1]:1443: hand it over, and on the other machine name it in QEKM_HOME"
    ]
    assert client_home(qekm, place, "--reach", "keys.example").code == 2  # never over a key


def test_a_home_for_another_machine_finds_the_key_manager_by_a_name_in_its_certificate(
    qekm: Qekm, tmp_path: Path
) -> None:
    home = Pki(tmp_path / "home")
    told = client_home(qekm, tmp_path / "olga", "--home", str(home.home.path))
    assert (told.code, "--reach HOST" in told.err) == (2, True)  # it has names of its own machine only
    founding = found(
        home.estate, ["keys.example", "192.0.2.5"], home.signer.public_key(), now_us(), os.urandom
    )
    home.home.certificate("server").write_bytes(founding.files["server.pem"])
    told = client_home(qekm, tmp_path / "olga", "--home", str(home.home.path))
    assert told.code == 0, told.err
    assert read_remote(tmp_path / "olga" / "ClientKeyManagerConfig.properties").host == "keys.example"


def test_a_home_for_another_machine_is_a_person_s_and_no_key_manager_s(qekm: Qekm, tmp_path: Path) -> None:
    told = qekm("certificates", "issue", "gateway", "g", "--client-home", str(tmp_path), "--reach", "x")
    assert (told.code, "for people, not for a gateway" in told.err) == (2, True)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "qekm.db").touch()
    told = client_home(qekm, tmp_path, "--reach", "x")
    assert (told.code, "is the home of a key manager" in told.err) == (2, True)
