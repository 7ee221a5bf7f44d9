"""Our own key pairs for partners: as openssl sees them, sealed and opened again, and never half."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qekm import pki
from qekm.errors import StoreDamaged, UnknownIdentity
from qekm.model import Vault
from qekm.rpc.identity import read_passport
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.sharing import Pairs
from qekm.sharing.pairs import AUTHORITY, ENCRYPTION, SIGNING
from tests.fakes.pki import now_us

ESTATE = bytes(range(16))
RING = KeyRing(Secret(bytes(32)), ESTATE)
Vaults = dict[str, Vault]


@cache
def made() -> Pairs:
    """Return the pairs of an estate."""
    return Pairs.make(pki.make_issuer(ESTATE, now_us(), os.urandom), now_us(), os.urandom)


def stored() -> Vaults:
    """Return the vaults of a store that has them."""
    return {vault.name: vault for vault in made().dump(RING)}


def usage(certificate: x509.Certificate) -> list[str]:
    """Return what a certificate's key may be used for."""
    value = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    return [
        name
        for name in ("digital_signature", "key_encipherment", "key_cert_sign", "data_encipherment")
        if getattr(value, name)
    ]


def test_one_key_is_encrypted_to_and_another_signs_each_for_ten_years() -> None:
    pairs = made()
    assert isinstance(pairs.decryption_key, rsa.RSAPrivateKey)
    assert pairs.decryption_key.key_size == 3_072
    assert isinstance(pairs.signing_key.curve, ec.SECP256R1)
    assert (usage(pairs.encryption), usage(pairs.signing)) == (["key_encipherment"], ["digital_signature"])
    assert pairs.end_us > now_us() + 3_600 * 86_400 * 1_000_000
    for certificate in (pairs.encryption, pairs.signing):
        assert f"Q-EKM estate {ESTATE.hex()}" in certificate.subject.rfc4514_string()
        with pytest.raises(UnknownIdentity):
            read_passport(pki.pem(certificate))


def test_openssl_finds_both_in_order_for_the_purpose_of_cms(tmp_path: Path) -> None:
    pairs = made()
    names = {"ours": pairs.encryption, "signing": pairs.signing, "ca": pairs.authority}
    for name, certificate in names.items():
        (tmp_path / name).write_bytes(pki.pem(certificate))
    for name, purpose in (("ours", "smimeencrypt"), ("signing", "smimesign")):
        words = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca", name]
        told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
    assert pairs.pem == "".join((tmp_path / name).read_text() for name in names)
    assert pki.fingerprint(x509.load_pem_x509_certificates(pairs.pem.encode())[0]) == pairs.fingerprint


def test_what_was_sealed_opens_again_and_a_store_of_0_1_0_has_none() -> None:
    pairs = Pairs.load(stored(), RING)
    assert pairs is not None
    assert (pairs.pem, pairs.sender.chain) == (made().pem, (made().signing, made().authority))
    assert pairs.decryption_key.private_numbers() == made().decryption_key.private_numbers()
    assert Pairs.load({}, RING) is None


DAMAGE: dict[str, Callable[[Vaults], Vaults]] = {
    "no signing key": lambda vaults: vaults | {SIGNING: replace(vaults[SIGNING], sealed=b"")},
    "a vault less": lambda vaults: {name: each for name, each in vaults.items() if name != AUTHORITY},
    "vaults exchanged": lambda vaults: vaults | {SIGNING: vaults[ENCRYPTION]},
    "another's certificate": lambda vaults: (
        vaults | {SIGNING: replace(vaults[SIGNING], certificate=vaults[AUTHORITY].certificate)}
    ),
    "no certificate": lambda vaults: vaults | {ENCRYPTION: replace(vaults[ENCRYPTION], certificate=b"x")},
    "a key of another kind": lambda vaults: (
        vaults
        | {
            ENCRYPTION: Vault(
                ENCRYPTION,
                RING.seal_vault(ENCRYPTION, RING.open_vault(vaults[SIGNING]).reveal()),
                vaults[SIGNING].certificate,
            )
        }
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_of_any_part_is_damage_of_the_store(damage: Callable[[Vaults], Vaults]) -> None:
    with pytest.raises(StoreDamaged):
        Pairs.load(damage(stored()), RING)


def test_no_private_key_is_shown() -> None:
    assert "RSAPrivateKey" not in repr(made())
    assert "EllipticCurvePrivateKey" not in repr(made())
