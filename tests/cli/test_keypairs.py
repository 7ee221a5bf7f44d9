"""Files of an identity."""

import os
import subprocess
from pathlib import Path

import pytest

from qekm.errors import BadCertificate
from qekm.keypair import dump_key, make_key
from qekm_cli.keypairs import replace, request_of, write_new


def test_a_request_carries_the_public_half_of_the_key_as_openssl_sees_it(tmp_path: Path) -> None:
    key = dump_key(make_key())
    (tmp_path / "csr").write_bytes(request_of(key, "anna"))
    (tmp_path / "key").write_bytes(key)

    def public(*words: str) -> bytes:
        return subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path).stdout

    assert public("req", "-inform", "DER", "-in", "csr", "-noout", "-pubkey") == public(
        "pkey", "-in", "key", "-pubout"
    )


def test_a_key_of_another_kind_makes_no_request() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    other = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(BadCertificate, match="neither EC nor RSA"):
        request_of(other, "anna")


def test_a_new_file_is_private_from_its_first_byte_and_never_replaces_another(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_new(tmp_path / "a.key", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a.key", b"2")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        write_new(tmp_path / "link", b"2")
    assert not (tmp_path / "elsewhere").exists()


def test_replacing_leaves_one_whole_file(tmp_path: Path) -> None:
    replace(tmp_path / "trust.pem", b"one")
    replace(tmp_path / "trust.pem", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("trust.pem", b"two")]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_replacing_as_root_keeps_the_owner(tmp_path: Path) -> None:
    (tmp_path / "trust.pem").write_bytes(b"one")
    os.chown(tmp_path / "trust.pem", 12345, 12346)
    replace(tmp_path / "trust.pem", b"two")
    owner = (tmp_path / "trust.pem").stat()
    assert (owner.st_uid, owner.st_gid, (tmp_path / "trust.pem").read_bytes()) == (12345, 12346, b"two")
