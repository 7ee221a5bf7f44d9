"""Key pairs of the links' own certificates, and requests for those. Both ends of a link use it; no I/O."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qekm.errors import BadCertificate

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make the private key of a leaf."""
    return ec.generate_private_key(ec.SECP256R1())


def dump_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a leaf's private key, PKCS#8 PEM, for a file of mode 0600."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def load_key(pem_text: bytes) -> PrivateKey:
    """Return a leaf's private key from its file; BadCertificate for none that we issue certificates for."""
    try:
        key = serialization.load_pem_private_key(pem_text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadCertificate("the private key cannot be read as PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadCertificate("the private key is neither EC nor RSA")
    check_key(key.public_key())
    return key


def make_request(key: PrivateKey) -> bytes:
    """Return a PKCS#10 request (RFC 2986), DER: proof that its sender has the key, and nothing more."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def check_key(key: object) -> PublicKey:
    """Return a public key of a kind that we issue certificates for; BadCertificate else."""
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1()):
            return key
        case rsa.RSAPublicKey(key_size=size) if 2048 <= size <= 8192 and key.public_numbers().e < 2**32:
            return key
    raise BadCertificate("the key is none of EC P-256, EC P-384 and RSA of 2048 to 8192 bits")
