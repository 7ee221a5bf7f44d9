"""What an estate is besides its keys: the secrets of the service itself and a few facts, as stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from qekm import pki
from qekm.certificates import AUTHORITY, SIGNER
from qekm.errors import StoreDamaged
from qekm.founding import Founding
from qekm.keypair import make_key
from qekm.model import Change, Setting, Vault
from qekm.pki import Issuer, RandomBytes
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.signing import spki_sha256
from qekm.store import INSTANCE

AUDIT, DIAGNOSIS = "audit", "diagnosis"  # names of vaults
TAG, EPOCH = "keystore.tag", "keystore.epoch"  # names of settings
UNERASED = "store.unerased"  # a setting: copies of destroyed keys may be left in the store's files
BEHIND = "store.behind"  # a setting: why the store may be an old copy, until somebody adopts it
UNANCHORED = "store.unanchored"  # a setting: where the store stood when its anchor could not be found
UNPROTECTED = "keys are on one disk only: keystore.protect=none"  # DEGRADED, wherever it is told
ONE_PERSON = "one person may destroy, export and restore: twoPerson=off"  # likewise


@dataclass(frozen=True, slots=True)
class Estate:
    """The keys of the service, and who makes: instance, tag (10 hex digits) and epoch of new aliases."""

    instance: bytes  # 8 bytes, drawn anew with each epoch
    tag: str
    epoch: int
    signer: EllipticCurvePrivateKey = field(repr=False)  # eAK: signs answers to drives
    audit_key: Ed25519PrivateKey = field(repr=False)
    diagnosis: Issuer = field(repr=False)  # names the gateways' test drives, and nothing else

    @classmethod
    def make(cls, estate_id: bytes, now_us: int, random_bytes: RandomBytes) -> Estate:
        """Draw the secrets of a new estate."""
        diagnosis = pki.make_issuer(estate_id, now_us, random_bytes)
        tag = random_bytes(5).hex().upper()
        return cls(random_bytes(8), tag, 1, make_key(), Ed25519PrivateKey.generate(), diagnosis)

    @classmethod
    def load(cls, vaults: Mapping[str, Vault], settings: Mapping[str, str], ring: KeyRing) -> Estate:
        """Open what `dump` sealed; StoreDamaged if something is missing or does not verify."""
        try:
            diagnosis = Issuer.load(vaults[DIAGNOSIS].certificate, ring.open_vault(vaults[DIAGNOSIS]))
            signer, audit_key = _key(ring.open_vault(vaults[SIGNER])), _key(ring.open_vault(vaults[AUDIT]))
            if not isinstance(signer, EllipticCurvePrivateKey) or not isinstance(
                audit_key, Ed25519PrivateKey
            ):
                raise ValueError("a key of another kind")
            instance = bytes.fromhex(settings[INSTANCE])
            return cls(instance, settings[TAG], int(settings[EPOCH]), signer, audit_key, diagnosis)
        except (KeyError, ValueError, TypeError) as error:
            raise StoreDamaged("the secrets of the service cannot be read") from error

    @classmethod
    def newcomer(
        cls, vaults: Mapping[str, Vault], instance: bytes, ring: KeyRing, random_bytes: RandomBytes
    ) -> tuple[Estate, Vault]:
        """Draw what a further server of an estate has of its own; returns the vault of that, too.

        vaults: the estate's, sealed under the same root key. StoreDamaged as `load`.
        """
        own = Vault(AUDIT, ring.seal_vault(AUDIT, _dump(Ed25519PrivateKey.generate())), b"")
        settings = {INSTANCE: instance.hex(), TAG: random_bytes(5).hex().upper(), EPOCH: "1"}
        return cls.load({**vaults, AUDIT: own}, settings, ring), own

    def settings(self) -> list[Change]:
        """Return who it is that makes keys, as a store holds it."""
        return [
            Setting(INSTANCE, self.instance.hex()),
            Setting(TAG, self.tag),
            Setting(EPOCH, str(self.epoch)),
        ]

    def dump(self, ring: KeyRing, founding: Founding) -> list[Change]:
        """Return what a new store holds of the estate: its vaults, settings and first certificates."""
        with founding.issuer.dump_key() as authority, self.diagnosis.dump_key() as diagnosis:
            return [
                Vault(
                    AUTHORITY,
                    ring.seal_vault(AUTHORITY, authority.reveal()),
                    pki.der(founding.issuer.certificate),
                ),
                Vault(SIGNER, ring.seal_vault(SIGNER, _dump(self.signer)), pki.der(founding.signer)),
                Vault(AUDIT, ring.seal_vault(AUDIT, _dump(self.audit_key)), b""),
                Vault(
                    DIAGNOSIS,
                    ring.seal_vault(DIAGNOSIS, diagnosis.reveal()),
                    pki.der(self.diagnosis.certificate),
                ),
                *self.settings(),
                *founding.records,
            ]

    @property
    def anchor(self) -> bytes:
        """Return the server anchor: the SHA-256 of the key that signs answers to drives (SPKI)."""
        return spki_sha256(self.signer.public_key())

    @property
    def audit_public_pem(self) -> bytes:
        """Return the public key of the audit trail, PEM."""
        return self.audit_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _dump(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _key(secret: Secret) -> object:
    with secret:
        return load_der_private_key(secret.reveal(), None)
