"""Own the two key pairs that partners know us by: others encrypt to one, we sign with the other.

They outlive a roll-over of the authority: partners have confirmed this certificate, and files are for it. The
authority that issued them is therefore kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from qekm import pki
from qekm.errors import StoreDamaged
from qekm.interchange.cms import Sender
from qekm.keypair import PrivateKey, make_key
from qekm.model import Vault
from qekm.pki import Issuer, RandomBytes
from qekm.sealing import KeyRing

ENCRYPTION, SIGNING, AUTHORITY = "sharing-encryption", "sharing-signing", "sharing-authority"  # vaults
FORMER = "sharing-encryption-former"
_RSA_BITS = 3_072  # 128 bits of security, as the rest has (NIST SP 800-57 part 1, table 2)


@dataclass(frozen=True, slots=True)
class Former:
    """The pair that was encrypted to before: files for it may still be under way."""

    encryption: x509.Certificate
    decryption_key: rsa.RSAPrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Both certificates, the authority that issued them, and both private keys."""

    encryption: x509.Certificate
    signing: x509.Certificate
    authority: x509.Certificate
    decryption_key: rsa.RSAPrivateKey = field(repr=False)
    signing_key: ec.EllipticCurvePrivateKey = field(repr=False)
    former: Former | None = None

    @classmethod
    def make(
        cls, issuer: Issuer, now_us: int, random_bytes: RandomBytes, before: Pairs | None = None
    ) -> Pairs:
        """Draw both and have their certificates issued; an RSA key takes a second at times.

        before: the pairs whose place they take.
        """
        ours, signing = rsa.generate_private_key(65_537, _RSA_BITS), make_key()
        return cls(
            issuer.issue_sharing(ours.public_key(), now_us, random_bytes, encrypts=True),
            issuer.issue_sharing(signing.public_key(), now_us, random_bytes, encrypts=False),
            issuer.certificate,
            ours,
            signing,
            Former(before.encryption, before.decryption_key) if before else None,
        )

    @classmethod
    def load(cls, vaults: Mapping[str, Vault], ring: KeyRing) -> Pairs | None:
        """Open what `dump` sealed; None for a store of 0.1.0, which has none. StoreDamaged."""
        if ENCRYPTION not in vaults:
            return None
        try:
            ours, signing = _key(vaults[ENCRYPTION], ring), _key(vaults[SIGNING], ring)
            names = ENCRYPTION, SIGNING, AUTHORITY
            certificates = [x509.load_der_x509_certificate(vaults[name].certificate) for name in names]
            if not isinstance(ours, rsa.RSAPrivateKey) or not isinstance(signing, ec.EllipticCurvePrivateKey):
                raise ValueError("a key of another kind")
            if [ours.public_key(), signing.public_key()] != [each.public_key() for each in certificates[:2]]:
                raise ValueError("a certificate of another key")
            return cls(
                certificates[0], certificates[1], certificates[2], ours, signing, _former(vaults, ring)
            )
        except (KeyError, ValueError, TypeError) as error:
            raise StoreDamaged("the keys for partners cannot be read") from error

    def dump(self, ring: KeyRing) -> list[Vault]:
        """Return what the store holds of them."""
        vaults = [
            Vault(
                ENCRYPTION, ring.seal_vault(ENCRYPTION, _der(self.decryption_key)), pki.der(self.encryption)
            ),
            Vault(SIGNING, ring.seal_vault(SIGNING, _der(self.signing_key)), pki.der(self.signing)),
            Vault(AUTHORITY, b"", pki.der(self.authority)),
        ]
        if former := self.former:
            sealed = ring.seal_vault(FORMER, _der(former.decryption_key))
            vaults.append(Vault(FORMER, sealed, pki.der(former.encryption)))
        return vaults

    @property
    def pem(self) -> str:
        """Return what partners get: to encrypt to, to verify with, the authority of both."""
        return pki.pem(self.encryption, self.signing, self.authority).decode("ascii")

    @property
    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the certificate to encrypt to: a person tells it over another way."""
        return pki.fingerprint(self.encryption)

    @property
    def sender(self) -> Sender:
        """Return who signs what we send."""
        return Sender((self.signing, self.authority), self.signing_key)

    @property
    def end_us(self) -> int:
        """Return when the certificates end."""
        return min(pki.end_us(self.encryption), pki.end_us(self.signing))


def _former(vaults: Mapping[str, Vault], ring: KeyRing) -> Former | None:
    """Open the pair before this one, if there was one; StoreDamaged, ValueError, TypeError."""
    if FORMER not in vaults:
        return None
    key, certificate = (
        _key(vaults[FORMER], ring),
        x509.load_der_x509_certificate(vaults[FORMER].certificate),
    )
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("a certificate of another key")
    return Former(certificate, key)


def _der(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _key(vault: Vault, ring: KeyRing) -> object:
    with ring.open_vault(vault) as secret:
        # Out of its seal it is what it was; to try its primes again takes longer than all else of a load.
        return load_der_private_key(secret.reveal(), None, unsafe_skip_rsa_key_validation=True)
