"""The internal authorities as the estate's vaults hold them: the issuing one, and one on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cryptography import x509

from qekm import pki
from qekm.model import Vault
from qekm.pki import Issuer
from qekm.secret import Secret

AUTHORITY, OLD, CROSS, SIGNER = "ca", "ca-old", "ca-cross", "eak"  # names of vaults


class Ring(Protocol):
    """What seals a vault (qekm.sealing.KeyRing)."""

    def seal_vault(self, name: str, value: bytes) -> bytes:
        """Return `value` sealed under the vault's name."""

    def open_vault(self, vault: Vault) -> Secret:
        """Return what `seal_vault` sealed; StoreDamaged if it does not verify."""


class Authorities:
    """Who issues, who issued before, and who signs answers to drives."""

    _issuer: Issuer
    _signer: Vault

    def __init__(self, vaults: Mapping[str, Vault], ring: Ring) -> None:
        """Take the store's vaults; KeyError for one that is missing, StoreDamaged, ValueError."""
        self._ring = ring
        self._old: x509.Certificate | None = None
        self._cross: x509.Certificate | None = None
        for name in (AUTHORITY, SIGNER, *({OLD, CROSS} & vaults.keys())):
            self._open(vaults[name])

    @property
    def rolling(self) -> bool:
        """Tell whether a roll-over is under way."""
        return self._old is not None

    @property
    def trust_pem(self) -> bytes:
        """Return all authorities to trust, PEM, the issuing one first: the file trust.pem."""
        return pki.pem(self._issuer.certificate, *([self._old] if self._old else []))

    @property
    def signer(self) -> bytes:
        """Return the certificate of the key that signs answers to drives (eAK), DER."""
        return self._signer.certificate

    @property
    def issuer(self) -> Issuer:
        """Return the authority that issues."""
        return self._issuer

    def chain(self, leaf: x509.Certificate) -> bytes:
        """Return a leaf's file; the cross-signed authority in it is for who trusts only the old one."""
        return pki.pem(leaf, *([self._cross] if self._cross and leaf.issuer == self._cross.subject else []))

    def _open(self, vault: Vault) -> None:
        """Put what a vault holds in force, if it is one of these; StoreDamaged, ValueError."""
        if vault.name == AUTHORITY:
            self._issuer = Issuer.load(vault.certificate, self._ring.open_vault(vault))
        elif vault.name == SIGNER:
            self._signer = vault
        elif vault.name == OLD:
            self._old = self._stored(vault)
        elif vault.name == CROSS:
            self._cross = self._stored(vault)

    def _stored(self, vault: Vault) -> x509.Certificate | None:
        """Return the certificate in a vault that is empty outside of a roll-over.

        It is sealed although it is no secret: whoever could write it would be trusted.
        """
        if not vault.sealed:
            return None
        return x509.load_der_x509_certificate(self._ring.open_vault(vault).reveal())
