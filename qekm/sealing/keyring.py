"""What the root key keeps: data keys and the service's own secrets.

root ─ HKDF-SHA256, salt estate id ─┬ record key ─ HKDF-Expand per key ─ AES-256-GCM over one data key
                                    ├ vault key ─ HKDF-Expand per vault ─ AES-256-GCM over one secret
                                    └ check key ─ HMAC-SHA256 over a data key, 4 bytes
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from qekm.errors import StoreDamaged
from qekm.model import Key, Vault
from qekm.secret import Secret

_BOX = Struct(">BH12s")  # format, version of the record key, nonce
_FORMAT, _KEY_VERSION = 1, 1


class KeyRing:
    """Everything that is sealed under one root key, for one estate."""

    __slots__ = ("_check", "_estate_id", "_random_bytes", "_record", "_vault")

    def __init__(
        self, root: Secret, estate_id: bytes, *, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        def derive(purpose: bytes) -> bytes:
            return HKDF(SHA256(), 32, estate_id, b"QEKM " + purpose + b" KEY 1").derive(root.reveal())

        self._estate_id = estate_id
        self._random_bytes = random_bytes
        self._record, self._vault, self._check = derive(b"RECORD"), derive(b"VAULT"), derive(b"CHECK")

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key ring is not pickled")

    def seal_key(self, material: Secret, key_id: bytes, alias: str, created_seq: int, epoch: int) -> bytes:
        """Return a data key's sealed material, bound to the key's identity."""
        return self._seal(
            self._record, key_id, material.reveal(), self._key_aad(key_id, alias, created_seq, epoch)
        )

    def open_key(self, key: Key) -> Secret:
        """Return a data key's material; StoreDamaged unless it, its identity and its check value verify."""
        aad = self._key_aad(key.key_id, key.alias, key.created_seq, key.epoch)
        material = self._open(self._record, key.key_id, key.sealed, aad)
        if material is None or not hmac.compare_digest(self._tell(material), key.check_value):
            raise StoreDamaged(f"key {key.alias} does not verify", alias=key.alias)
        return Secret(material)

    def check_value(self, material: Secret) -> bytes:
        """Return 4 bytes that tell two data keys apart and reveal neither (HMAC under a key of its own)."""
        return self._tell(material.reveal())

    def seal_vault(self, name: str, value: bytes) -> bytes:
        """Return a secret of the service sealed under its name."""
        return self._seal(self._vault, name.encode(), value, self._vault_aad(name))

    def open_vault(self, vault: Vault) -> Secret:
        """Return the secret of a vault; StoreDamaged unless it verifies under the vault's name."""
        value = self._open(self._vault, vault.name.encode(), vault.sealed, self._vault_aad(vault.name))
        if value is None:
            raise StoreDamaged(f"vault {vault.name} does not verify", vault=vault.name)
        return Secret(value)

    def _seal(self, key: bytes, info: bytes, value: bytes, aad: bytes) -> bytes:
        head = _BOX.pack(_FORMAT, _KEY_VERSION, nonce := self._random_bytes(12))
        return head + _cipher(key, info).encrypt(nonce, value, head + aad)

    def _open(self, key: bytes, info: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        head, body = sealed[: _BOX.size], sealed[_BOX.size :]
        if len(body) < 16 or head[:3] != _BOX.pack(_FORMAT, _KEY_VERSION, b"")[:3]:
            return None
        try:
            return _cipher(key, info).decrypt(head[3:], body, head + aad)
        except InvalidTag:
            return None

    def _tell(self, material: bytes) -> bytes:
        return hmac.digest(self._check, material, "sha256")[:4]

    def _key_aad(self, key_id: bytes, alias: str, created_seq: int, epoch: int) -> bytes:
        numbers = created_seq.to_bytes(8, "big"), epoch.to_bytes(8, "big")
        return _prefixed(self._estate_id, b"QEKM KEY 1", alias.encode(), key_id, b"AES-256", *numbers)

    def _vault_aad(self, name: str) -> bytes:
        return _prefixed(self._estate_id, b"QEKM VAULT 1", name.encode())


def _cipher(key: bytes, info: bytes) -> AESGCM:
    """Return the cipher of one row: a key of its own, so that no nonce meets another row's."""
    return AESGCM(HKDFExpand(SHA256(), 32, info).derive(key))


def _prefixed(*fields: bytes) -> bytes:
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])
