"""Check the audit trail of a store that nobody serves, with nothing but the public key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from qekm.audit import Verdict, verify_trail
from qekm.checkpoints import Held
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


def read_place(text: str) -> tuple[int, bytes]:
    """Return place and hash of a record from SEQUENCE:HASH; BadConfiguration."""
    sequence, _, hash_ = text.partition(":")
    try:
        return int(sequence), bytes.fromhex(hash_)
    except ValueError:
        raise BadConfiguration(
            f"{text[:200]} is not SEQUENCE:HASH, as qekm audit checkpoints tells"
        ) from None


def verify(home: Home, public_key: Ed25519PublicKey, seen: Iterable[tuple[int, bytes]] = ()) -> Verdict:
    """Return the verdict on a trail; one that cannot be read is broken. StoreInUse while it is served.

    seen: place and hash of records that others know; this server's own last word to them is looked at, too.
    """
    try:
        with Store.looked_at(home.store) as store:
            own = store.own_checkpoint()
            held = Held([own] if own else [], public_key, seen)
            return held.judge(verify_trail(held.watch(store.iterate_audit()), public_key))
    except StoreDamaged as error:
        return Verdict(0, 1, error.message, bytes(32))
