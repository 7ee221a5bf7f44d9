"""CMS SignedData with one signer (RFC 5652, 5): ECDSA on P-256 or RSASSA-PSS (RFC 4056), SHA-256.

ContentInfo ::= SEQUENCE { id-signedData, [0] SEQUENCE {
  version 1, SET OF SHA-256,
  SEQUENCE { id-data, [0] OCTET STRING },
  certificates [0] IMPLICIT SET OF Certificate,
  signerInfos SET OF SEQUENCE { version 1, issuerAndSerialNumber, SHA-256,
    signedAttrs [0] IMPLICIT SET OF, signature algorithm, signature OCTET STRING } } }
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asn1crypto import core
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.errors import BadCertificate, BadFile
from qekm.interchange.cms import algorithms
from qekm.interchange.cms.contents import issuer_and_serial, open_contents, wrap_contents
from qekm.interchange.der import CONTEXT_0, OCTETS, OID, SEQUENCE, SET, Reader, element, integer, nest
from qekm.keypair import PrivateKey, PublicKey, check_key

MAX_CERTIFICATES = 8
_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)
_PSS = padding.PSS(padding.MGF1(_SHA256), salt_length=32)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who signs: certificates, leaf first, and the leaf's private key; BadCertificate if they do not fit."""

    chain: tuple[x509.Certificate, ...]
    private_key: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.chain) <= MAX_CERTIFICATES:
            raise BadCertificate(f"a sender has 1 to {MAX_CERTIFICATES} certificates")
        if _check_signer(self.chain[0].public_key()) != self.private_key.public_key():
            raise BadCertificate("the sender's certificate is not of the sender's private key")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed file taken apart; nothing in it is to be believed before `verify` returned."""

    payload: memoryview
    chain: tuple[x509.Certificate, ...]  # that of the signer first
    algorithm: bytes
    attributes: bytes  # SET OF, DER: what is signed
    signature: bytes

    def verify(self) -> None:
        """Check the signature with the key of the first certificate, whether that one is trusted or not.

        BadCertificate unless the signature holds; BadFile for another algorithm than the key's.
        """
        signed = _parse_attributes(Reader(memoryview(self.attributes)).enter(SET))
        digest = element(OCTETS, hashlib.sha256(self.payload).digest())
        if signed.get(algorithms.CONTENT_TYPE) != algorithms.DATA:
            raise BadFile("the file is damaged: what is signed is of another type")
        if signed.get(algorithms.MESSAGE_DIGEST) != digest:
            raise BadCertificate("the signature does not hold: it is over other contents")
        try:
            self._verify(_check_signer(self.chain[0].public_key()))
        except (ValueError, UnsupportedAlgorithm, InvalidSignature):
            raise BadCertificate("the signature does not hold") from None

    def _verify(self, public: PublicKey) -> None:
        if isinstance(public, rsa.RSAPublicKey):
            _check(self.algorithm in algorithms.PSS_ENCODINGS)
            public.verify(self.signature, self.attributes, _PSS, _SHA256)
        else:
            _check(self.algorithm in algorithms.ECDSA_ENCODINGS)
            public.verify(self.signature, self.attributes, _ECDSA)


def sign(payload: bytearray, sender: Sender, now_us: int) -> bytearray:
    """Return the payload, signed; whoever takes it wipes it."""
    attributes = _attributes(payload, now_us)
    algorithm, signature = _sign(sender.private_key, element(SET, attributes))
    signer = element(
        SEQUENCE,
        integer(1),
        issuer_and_serial(sender.chain[0]),
        algorithms.SHA256,
        element(CONTEXT_0, attributes),
        algorithm,
        element(OCTETS, signature),
    )
    certificates = sorted(each.public_bytes(Encoding.DER) for each in sender.chain)
    return bytearray().join(
        wrap_contents(
            algorithms.SIGNED_DATA,
            integer(1),
            element(SET, algorithms.SHA256),
            *nest(SEQUENCE, algorithms.DATA, *nest(CONTEXT_0, *nest(OCTETS, payload))),
            element(CONTEXT_0, *certificates),
            element(SET, signer),
        )
    )


def parse(data: memoryview) -> Signed:
    """Take a signed file apart; BadFile for what is none or has other algorithms, signers or attributes."""
    fields = open_contents(data, algorithms.SIGNED_DATA)
    _check_version(fields)
    digests = fields.enter(SET)
    digests.choose(algorithms.SHA256_ENCODINGS, "digest")
    digests.end()
    contents = fields.enter(SEQUENCE)
    contents.choose((algorithms.DATA,), "kind of contents")
    payload = contents.only(CONTEXT_0).last(OCTETS)
    certificates = _parse_certificates(fields.enter(CONTEXT_0))
    signer = fields.only(SET).only(SEQUENCE)
    _check_version(signer)
    chain = _order(certificates, signer.whole(SEQUENCE))
    signer.choose(algorithms.SHA256_ENCODINGS, "digest")
    attributes = element(SET, signer.take(CONTEXT_0))
    algorithm, signature = signer.whole(SEQUENCE), bytes(signer.last(OCTETS))
    return Signed(payload, chain, algorithm, attributes, signature)


def _check_version(fields: Reader) -> None:
    fields.choose((integer(1),), "version of CMS")


def _check(is_accepted: bool) -> None:
    if not is_accepted:
        raise BadFile("the file has another signature algorithm than is accepted here")


def _check_signer(public: object) -> PublicKey:
    key = check_key(public)
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise BadCertificate("the sender's key is neither RSA nor on P-256")
    return key


def _sign(private_key: PrivateKey, message: bytes) -> tuple[bytes, bytes]:
    if isinstance(private_key, rsa.RSAPrivateKey):
        return algorithms.PSS, private_key.sign(message, _PSS, _SHA256)
    return algorithms.ECDSA, private_key.sign(message, _ECDSA)


def _attributes(payload: bytearray, now_us: int) -> bytes:
    """Return the signed attributes in DER's order, without a tag (RFC 5652, 5.4 and 11)."""
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    time = core.UTCTime(now) if now.year < 2050 else core.GeneralizedTime(now)
    values = {
        algorithms.CONTENT_TYPE: algorithms.DATA,
        algorithms.MESSAGE_DIGEST: element(OCTETS, hashlib.sha256(payload).digest()),
        algorithms.SIGNING_TIME: time.dump(),
    }
    return b"".join(sorted(element(SEQUENCE, name, element(SET, value)) for name, value in values.items()))


def _parse_attributes(reader: Reader) -> Mapping[bytes, bytes]:
    """Return the signed attributes: type, DER, and the contents of its set of values."""
    found: dict[bytes, bytes] = {}
    while reader.next_is(SEQUENCE):
        attribute = reader.enter(SEQUENCE)
        name, values = attribute.whole(OID), bytes(attribute.last(SET))
        if name in found:
            raise BadFile("the file is damaged: a signed attribute is there twice")
        found[name] = values
    reader.end()
    return found


def _parse_certificates(reader: Reader) -> list[x509.Certificate]:
    found = list(reader.elements(SEQUENCE))
    if len(found) > MAX_CERTIFICATES:
        raise BadFile(f"the file holds more than {MAX_CERTIFICATES} certificates")
    try:
        return [x509.load_der_x509_certificate(each) for each in found]
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise BadFile("the file holds a certificate that cannot be read") from None


def _order(certificates: list[x509.Certificate], signer: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates, that of the signer first."""
    chain = sorted(certificates, key=lambda each: issuer_and_serial(each) != signer)
    if not chain or issuer_and_serial(chain[0]) != signer:
        raise BadFile("the file does not hold the certificate of who signed it")
    return tuple(chain)
