"""Check the audit trail of a store that nobody serves, with nothing but the public key."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from qekm.audit import Verdict, verify_trail
from qekm.errors import BadConfiguration, StoreDamaged
from qekm.home import Home
from qekm.store import Store


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the trail's public key from a PEM file; BadConfiguration."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}", file=str(path)) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadConfiguration(f"{path} holds no Ed25519 public key", file=str(path))
    return key


def verify(home: Home, public_key: Ed25519PublicKey) -> Verdict:
    """Return the verdict on a trail; one that cannot be read is broken. StoreInUse while it is served."""
    try:
        with Store.looked_at(home.store) as store:
            return verify_trail(store.iterate_audit(), public_key)
    except StoreDamaged as error:
        return Verdict(0, 1, error.message, bytes(32))
