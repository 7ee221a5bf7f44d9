"""CMS AuthEnvelopedData for one recipient (RFC 5083): AES-256-GCM (RFC 5084), RSAES-OAEP (RFC 3560).

    ContentInfo ::= SEQUENCE { id-ct-authEnvelopedData, [0] SEQUENCE {
      version 0,
      recipientInfos SET OF SEQUENCE { version 0, issuerAndSerialNumber, OAEP, encryptedKey OCTET STRING },
      authEncryptedContentInfo SEQUENCE { id-data, AES-256-GCM, [0] IMPLICIT OCTET STRING },
      mac OCTET STRING } }

EnvelopedData is refused although the keys in it would be signed: whoever can change a file turns this kind
into that one, and learns the contents from what a reader makes of it without a tag (RFC 9709, 1). Attributes
and an originator are not written, and refused. The contents are of type id-data although they are another
ContentInfo, as in S/MIME: then `openssl cms -decrypt` writes what `openssl cms -verify` reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from qekm.errors import BadCertificate, BadFile
from qekm.interchange.cms import algorithms
from qekm.interchange.cms.algorithms import NONCE_LENGTH, TAG_LENGTH
from qekm.interchange.cms.contents import issuer_and_serial, open_contents, wrap_contents
from qekm.interchange.der import CONTEXT_0_PRIMITIVE, OCTETS, SEQUENCE, SET, Reader, element, integer, nest
from qekm.keypair import check_key

_KEY_LENGTH = 32
_BLOCK = 16
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope taken apart; nothing in it is proved before `open` returned."""

    recipient: bytes  # issuer and serial number of the certificate, DER
    wrapped_key: bytes
    nonce: bytes
    ciphertext: memoryview
    tag: bytes

    def open(self, private_key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> bytearray:
        """Return the contents, which the caller wipes; BadFile unless they are for this key and unaltered."""
        if self.recipient != issuer_and_serial(certificate):
            raise BadFile(
                "the file is for another recipient",
                hint="ask the sender to export for your present certificate",
            )
        contents = bytearray(len(self.ciphertext) + _BLOCK - 1)  # as much as update_into asks for
        try:
            # One error for both steps: nobody learns from it whether a padding was right (Manger's attack).
            key = private_key.decrypt(self.wrapped_key, _OAEP)
            cipher = Cipher(AES(_checked(key)), GCM(self.nonce, self.tag)).decryptor()
            length = cipher.update_into(self.ciphertext, contents)
            cipher.finalize()
        except (ValueError, InvalidTag):
            contents[:] = bytes(len(contents))
            raise BadFile("the file was altered, or it is for another key") from None
        del contents[length:]
        return contents


def seal(contents: bytearray, recipient: x509.Certificate, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return the envelope of these contents; BadCertificate unless its key is RSA of 2048 to 8192 bits."""
    public = check_key(recipient.public_key())
    if not isinstance(public, rsa.RSAPublicKey):
        raise BadCertificate("the recipient's key is not RSA: nothing can be encrypted to it")
    key, nonce = random_bytes(_KEY_LENGTH), random_bytes(NONCE_LENGTH)
    sealed = memoryview(AESGCM(key).encrypt(nonce, contents, None))
    wrapped = element(OCTETS, public.encrypt(key, _OAEP))
    info = element(SEQUENCE, integer(0), issuer_and_serial(recipient), algorithms.OAEP, wrapped)
    encrypted = (
        algorithms.DATA,
        algorithms.gcm(nonce),
        *nest(CONTEXT_0_PRIMITIVE, sealed[:-TAG_LENGTH]),
    )
    mac = element(OCTETS, sealed[-TAG_LENGTH:])
    enveloped = (integer(0), element(SET, info), *nest(SEQUENCE, *encrypted), mac)
    return b"".join(wrap_contents(algorithms.AUTH_ENVELOPED_DATA, *enveloped))


def parse(data: memoryview) -> Envelope:
    """Take an envelope apart; BadFile for what is none or has another algorithm, recipients or attributes."""
    fields = open_contents(data, algorithms.AUTH_ENVELOPED_DATA)
    fields.integer(0)
    recipient, wrapped_key = _parse_recipient(fields.enter(SET).only(SEQUENCE))
    encrypted = fields.enter(SEQUENCE)
    encrypted.choose((algorithms.DATA,), "kind of contents")
    nonce = _parse_gcm(encrypted.enter(SEQUENCE))
    ciphertext = encrypted.last(CONTEXT_0_PRIMITIVE)
    tag = fields.octets(TAG_LENGTH)
    fields.end()
    return Envelope(recipient, wrapped_key, nonce, ciphertext, bytes(tag))


def _parse_recipient(fields: Reader) -> tuple[bytes, bytes]:
    fields.integer(0)
    recipient = fields.whole(SEQUENCE)
    fields.choose(algorithms.OAEP_ENCODINGS, "key encryption")
    return recipient, bytes(fields.last(OCTETS))


def _parse_gcm(fields: Reader) -> bytes:
    fields.choose((algorithms.AES_256_GCM,), "encryption")
    parameters = fields.only(SEQUENCE)
    nonce = parameters.octets(NONCE_LENGTH)
    parameters.choose((integer(TAG_LENGTH),), "length of the tag")
    parameters.end()
    return bytes(nonce)


def _checked(key: bytes) -> bytes:
    if len(key) != _KEY_LENGTH:
        raise ValueError("not a key of AES-256")
    return key
