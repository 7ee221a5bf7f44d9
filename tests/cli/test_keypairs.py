"""Files of an identity."""

import subprocess
from pathlib import Path

import pytest

from qekm.errors import BadCertificate
from qekm.keypair import dump_key, make_key
from qekm_cli.keypairs import request_of


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
