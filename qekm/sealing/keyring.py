"""What the root key keeps: data keys and the service's own secrets.

root ─ HKDF-SHA256, salt estate id ─┬ record key vN ─ HKDF-Expand per key ─ AES-256-GCM over one data key
                                    ├ vault key ─ HKDF-Expand per vault ─ AES-256-GCM over one secret
                                    ├ check key ─ HMAC-SHA256 over a data key, 4 bytes
                                    ├ backup key ─ AES-256-GCM over the key of one backup
                                    ├ pepper ─ Argon2id's secret value for command passwords (verifier.py)
                                    ├ peer key ─ what servers of the estate prove to each other, and hand over
                                    └ seals: row, element and store root keys (seals.py)

Each box names the version of its record key. Rotation adds a version for new boxes; old ones are sealed anew,
and the old version is forgotten when none is left. A ring holds derived keys only, so a new version takes the
root key again.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from qekm.errors import StoreDamaged
from qekm.model import Key, Vault
from qekm.sealing.seals import Seals, Value, encoded
from qekm.secret import Secret

_BOX = Struct(">BH12s")  # format, version of the key, nonce
VERSION_PLACE = 2, 2  # where the version is: from the second byte (counted from 1), two of them
_FORMAT = 1
_ONLY = 1  # version of the vault and backup keys, which are not rotated
# Of keys without versions.
_PURPOSES = (b"VAULT", b"CHECK", b"BACKUP", b"PASSWORD", b"PEER", b"ROW", b"ELEMENT", b"STORE ROOT")
_RECORD = Struct(">H32s")  # version of a record key, and it
_RECORD_INFO = b"QEKM RECORD %d"  # begins as no encoded values do: the peer key also makes MACs over those


class KeyRing:
    """Everything that is sealed under one root key, for one estate."""

    __slots__ = ("_estate_id", "_keys", "_random_bytes", "_records", "seals")

    def __init__(
        self,
        root: Secret,
        estate_id: bytes,
        *,
        versions: Sequence[int] = (1,),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Derive every key; `versions` are those of the record key in use, the last one for new boxes."""
        self._estate_id = estate_id
        self._random_bytes = random_bytes
        self._records = {version: self._derive(root, b"RECORD", version) for version in versions}
        self._keys = {purpose: self._derive(root, purpose) for purpose in _PURPOSES}
        self.seals = Seals(self._keys.__getitem__)

    @classmethod
    def parse(cls, content: Secret) -> KeyRing:
        """Return the ring that `serialize` gave; ValueError, struct.error. For handing.py."""
        raw = content.reveal()
        own, place = cls.__new__(cls), 1 + raw[0]
        own._estate_id, own._random_bytes = raw[1:place], os.urandom
        rest = place + 32 * len(_PURPOSES)
        keys = [raw[start : start + 32] for start in range(place, rest, 32)]
        own._keys = dict(zip(_PURPOSES, keys, strict=True))
        own._records = dict(_RECORD.iter_unpack(raw[rest:]))
        if not own._records:
            raise ValueError("a key ring has a record key")
        own.seals = Seals(own._keys.__getitem__)
        return own

    def serialize(self) -> Secret:
        """Return every derived key, for a process of ours that proves a backup; for handing.py."""
        records = b"".join(_RECORD.pack(version, key) for version, key in self._records.items())
        head = bytes([len(self._estate_id)]) + self._estate_id
        return Secret(head + b"".join(self._keys[purpose] for purpose in _PURPOSES) + records)

    @property
    def estate_id(self) -> bytes:
        """Return the estate whose boxes it opens."""
        return self._estate_id

    @property
    def pepper(self) -> bytes:
        """Return what goes into every command password's verifier."""
        return self._keys[b"PASSWORD"]

    @property
    def versions(self) -> frozenset[int]:
        """Return the versions of the record key whose boxes it opens."""
        return frozenset(self._records)

    @property
    def version(self) -> int:
        """Return the version of the record key that new boxes get."""
        return max(self._records)

    def rotate(self, root: Secret) -> int:
        """Add a version of the record key for new boxes and return it; StoreDamaged for another root key."""
        if not hmac.compare_digest(self._derive(root, b"CHECK"), self._keys[b"CHECK"]):
            raise StoreDamaged("this is not the root key of the store")
        version = self.version + 1
        self._records[version] = self._derive(root, b"RECORD", version)
        return version

    def forget(self, before: int) -> None:
        """Drop the record keys of versions that no box has any more."""
        self._records = {version: key for version, key in self._records.items() if version >= before}

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key ring is not pickled")

    def seal_key(self, material: Secret, key_id: bytes, alias: str, created_seq: int, epoch: int) -> bytes:
        """Return a data key's sealed material, bound to the key's identity."""
        aad = self._key_aad(key_id, alias, created_seq, epoch)
        version = self.version
        return self._seal(self._records[version], version, key_id, material.reveal(), aad)

    def reseal_key(self, key: Key) -> bytes:
        """Return a key's material sealed under the present version of the record key; StoreDamaged."""
        with self.open_key(key) as material:
            return self.seal_key(material, key.key_id, key.alias, key.created_seq, key.epoch)

    def open_key(self, key: Key) -> Secret:
        """Return a data key's material; StoreDamaged unless it, its identity and its check value verify."""
        aad = self._key_aad(key.key_id, key.alias, key.created_seq, key.epoch)
        material = self._open(self._records, key.key_id, key.sealed, aad)
        if material is None or not hmac.compare_digest(self._tell(material), key.check_value):
            raise StoreDamaged(f"key {key.alias} does not verify", alias=key.alias)
        return Secret(material)

    def check_value(self, material: Secret) -> bytes:
        """Return 4 bytes that tell two data keys apart and reveal neither (HMAC under a key of its own)."""
        return self._tell(material.reveal())

    def key_id(self, alias: str, material: Secret) -> bytes:
        """Return the id, 16 bytes, of a key from elsewhere: the same at every server of the estate."""
        told = _prefixed(b"QEKM KEY ID 1", alias.encode(), material.reveal())
        return hmac.digest(self._keys[b"CHECK"], told, "sha256")[:16]

    def seal_vault(self, name: str, value: bytes) -> bytes:
        """Return a secret of the service sealed under its name."""
        return self._seal(self._keys[b"VAULT"], _ONLY, name.encode(), value, self._vault_aad(name))

    def open_vault(self, vault: Vault) -> Secret:
        """Return the secret of a vault; StoreDamaged unless it verifies under the vault's name."""
        aad = self._vault_aad(vault.name)
        value = self._open({_ONLY: self._keys[b"VAULT"]}, vault.name.encode(), vault.sealed, aad)
        if value is None:
            raise StoreDamaged(f"vault {vault.name} does not verify", vault=vault.name)
        return Secret(value)

    def wrap_backup(self, key: Secret, about: bytes) -> bytes:
        """Return the key of one backup, bound to what the backup says of itself."""
        return self._seal(self._keys[b"BACKUP"], _ONLY, about[:32], key.reveal(), self._backup_aad(about))

    def unwrap_backup(self, wrapped: bytes, about: bytes) -> Secret | None:
        """Return the key of a backup of this estate; None if it is another's, or was altered."""
        key = self._open({_ONLY: self._keys[b"BACKUP"]}, about[:32], wrapped, self._backup_aad(about))
        return None if key is None else Secret(key)

    def peer_mac(self, *values: Value) -> bytes:
        """Return a MAC, 32 bytes, that only a server of this estate can make."""
        return hmac.digest(self._keys[b"PEER"], encoded(values), "sha256")

    def wrap_record(self, version: int) -> bytes:
        """Return a version of the record key, sealed for the other servers of the estate."""
        info, aad = _RECORD_INFO % version, self._record_aad(version)
        return self._seal(self._keys[b"PEER"], _ONLY, info, self._records[version], aad)

    def adopt_record(self, version: int, sealed: bytes) -> None:
        """Open boxes of this version too, and seal new ones under it if it is the latest; StoreDamaged."""
        aad = self._record_aad(version)
        key = self._open({_ONLY: self._keys[b"PEER"]}, _RECORD_INFO % version, sealed, aad)
        if key is None or len(key) != 32:
            raise StoreDamaged(f"version {version} of the record key does not verify", version=str(version))
        self._records[version] = key

    def _derive(self, root: Secret, purpose: bytes, version: int = 1) -> bytes:
        info = b"QEKM %s KEY %d" % (purpose, version)
        return HKDF(SHA256(), 32, self._estate_id, info).derive(root.reveal())

    def _seal(self, key: bytes, version: int, info: bytes, value: bytes, aad: bytes) -> bytes:
        head = _BOX.pack(_FORMAT, version, nonce := self._random_bytes(12))
        return head + _cipher(key, info).encrypt(nonce, value, head + aad)

    def _open(self, keys: Mapping[int, bytes], info: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        head, body = sealed[: _BOX.size], sealed[_BOX.size :]
        if len(body) < 16:
            return None
        format_, version, nonce = _BOX.unpack(head)
        if format_ != _FORMAT or version not in keys:
            return None
        try:
            return _cipher(keys[version], info).decrypt(nonce, body, head + aad)
        except InvalidTag:
            return None

    def _tell(self, material: bytes) -> bytes:
        return hmac.digest(self._keys[b"CHECK"], material, "sha256")[:4]

    def _key_aad(self, key_id: bytes, alias: str, created_seq: int, epoch: int) -> bytes:
        numbers = created_seq.to_bytes(8, "big"), epoch.to_bytes(8, "big")
        return _prefixed(self._estate_id, b"QEKM KEY 1", alias.encode(), key_id, b"AES-256", *numbers)

    def _vault_aad(self, name: str) -> bytes:
        return _prefixed(self._estate_id, b"QEKM VAULT 1", name.encode())

    def _record_aad(self, version: int) -> bytes:
        return _prefixed(self._estate_id, b"QEKM RECORD 1", version.to_bytes(4, "big"))

    def _backup_aad(self, about: bytes) -> bytes:
        return _prefixed(self._estate_id, b"QEKM BACKUP 1", about)


def _cipher(key: bytes, info: bytes) -> AESGCM:
    """Return the cipher of one row: a key of its own, so that no nonce meets another row's."""
    return AESGCM(HKDFExpand(SHA256(), 32, info).derive(key))


def _prefixed(*fields: bytes) -> bytes:
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])


def version_of(sealed: bytes) -> int:
    """Return the version of the record key that sealed material names; 0 for a destroyed key's."""
    return int.from_bytes(sealed[1:3]) if len(sealed) >= _BOX.size else 0
