"""Signatures of every type, and keys that are refused before any arithmetic."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from qekm.errors import BadCertificate
from qekm.signing import FrameSigner, Verifier, check_public

RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[int, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
    2: RSA,
    3: ec.generate_private_key(ec.SECP384R1()),
    4: ec.generate_private_key(ec.SECP256R1()),
}


@pytest.mark.parametrize("kind", KEYS)
def test_what_a_signer_signs_its_verifier_accepts(kind: int) -> None:
    signer = FrameSigner(KEYS[kind])
    sig_type, signature = signer.sign(b"message")
    verifier = Verifier(KEYS[kind].public_key())
    assert (sig_type, signer.type, len(signature)) == (kind, kind, signer.length)
    assert verifier.types == {kind}
    assert verifier.verify(kind, signature, b"message")
    assert verifier.spki_sha256 == signer.spki_sha256


@pytest.mark.parametrize("kind", KEYS)
def test_another_message_type_length_or_bit_is_refused(kind: int) -> None:
    _, signature = FrameSigner(KEYS[kind]).sign(b"message")
    verify = Verifier(KEYS[kind].public_key()).verify
    flipped = bytes((signature[0] ^ 1,)) + signature[1:]
    assert not verify(kind, signature, b"another")
    assert not verify(kind, flipped, b"message")
    assert not verify(kind, signature[:-1], b"message")
    assert not verify(kind, signature + b"\0", b"message")
    assert not verify(kind, bytes(len(signature)), b"message")
    assert not verify(kind, b"", b"message")
    assert not any(verify(other, signature, b"message") for other in (0, 1, *KEYS, 5) if other != kind)


def test_a_key_that_is_too_small_or_of_another_kind_is_refused() -> None:
    small = rsa.generate_private_key(65537, 1024)
    curve, edwards = ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()
    for public in (small.public_key(), curve.public_key(), edwards.public_key()):
        with pytest.raises(BadCertificate):
            check_public(public)


@pytest.mark.parametrize("exponent", [2**32 + 1, 2**2000 + 1])
def test_an_rsa_key_with_a_huge_exponent_is_refused(exponent: int) -> None:
    public = rsa.RSAPublicNumbers(exponent, RSA.public_key().public_numbers().n).public_key()
    with pytest.raises(BadCertificate):
        Verifier(public)
