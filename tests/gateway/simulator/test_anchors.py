"""Server anchors: pins and CAs, checked with every chain that a stranger could send."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from qekm_gateway.simulator.anchors import Anchors, Untrusted, load_anchors
from tests.fakes.key_manager import certify, spki_sha256
from tests.gateway.simulator.rig import now_us

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def der(*certificates: x509.Certificate) -> tuple[bytes, ...]:
    """Encode a chain."""
    return tuple(item.public_bytes(Encoding.DER) for item in certificates)


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = key(), key(), key()
ROOT = certify(ROOT_KEY, None, path_length=1)
MIDDLE = certify(MIDDLE_KEY, None, issuer=(ROOT, ROOT_KEY))
DIRECT = certify(LEAF_KEY, SERVER, issuer=(ROOT, ROOT_KEY))
LEAF = certify(LEAF_KEY, SERVER, issuer=(MIDDLE, MIDDLE_KEY))


def test_a_pinned_key_is_believed_whatever_its_certificate_says_of_dates() -> None:
    ended = certify(LEAF_KEY, SERVER, days=(-30, -1))
    assert Anchors([spki_sha256(ended)]).check(der(ended), now_us()).spki_sha256 == spki_sha256(ended)


@pytest.mark.parametrize("chain", [(DIRECT,), (LEAF, MIDDLE), (LEAF, MIDDLE, ROOT)], ids=["1", "2", "3"])
def test_a_chain_to_an_anchored_ca_is_believed(chain: tuple[x509.Certificate, ...]) -> None:
    leaf = Anchors(authorities=[ROOT]).check(der(*chain), now_us())
    assert leaf.spki_sha256 == spki_sha256(LEAF)


def test_an_intermediate_ca_may_be_the_anchor() -> None:
    assert Anchors(authorities=[MIDDLE]).check(der(LEAF), now_us())


def refused() -> dict[str, tuple[Anchors, tuple[bytes, ...]]]:
    """Return every chain that must not be believed, and the anchors that it meets."""
    root, other = Anchors(authorities=[ROOT]), key()
    too_deep = certify(other, None, issuer=(MIDDLE, MIDDLE_KEY))
    late_root = certify(ROOT_KEY, None, days=(-30, -1))
    return {
        "no anchors": (Anchors(), der(DIRECT)),
        "no certificate": (root, ()),
        "five certificates": (root, der(LEAF, MIDDLE, ROOT, ROOT, ROOT)),
        "another pin": (Anchors([bytes(32)]), der(DIRECT)),
        "a self-made CA of the same name": (root, der(certify(other, SERVER), certify(other, None))),
        "a leaf that another CA signed": (root, der(certify(other, SERVER, issuer=(ROOT, other)), ROOT)),
        "an intermediate that is missing": (root, der(LEAF)),
        "a leaf that acts as CA": (root, der(certify(other, SERVER, issuer=(DIRECT, LEAF_KEY)), DIRECT)),
        "a deeper chain than the CA allows": (
            root,
            der(certify(key(), SERVER, issuer=(too_deep, other)), too_deep, MIDDLE),
        ),
        "an ended leaf": (root, der(certify(LEAF_KEY, SERVER, issuer=(ROOT, ROOT_KEY), days=(-9, -1)))),
        "a leaf of tomorrow": (root, der(certify(LEAF_KEY, SERVER, issuer=(ROOT, ROOT_KEY), days=(1, 9)))),
        "an ended CA": (
            Anchors(authorities=[late_root]),
            der(certify(key(), SERVER, issuer=(ROOT, ROOT_KEY))),
        ),
        "a client's certificate": (root, der(certify(key(), CLIENT, issuer=(ROOT, ROOT_KEY)))),
        "a pinned client's certificate": (Anchors([spki_sha256(LEAF)]), der(certify(LEAF_KEY, CLIENT))),
        "a certificate without a purpose": (root, der(ROOT)),
        "junk": (root, (b"junk",)),
        "nothing": (root, (b"",)),
    }


@pytest.mark.parametrize("case", refused().values(), ids=refused().keys())
def test_nobody_else_is_believed(case: tuple[Anchors, tuple[bytes, ...]]) -> None:
    anchors, chain = case
    with pytest.raises(Untrusted):
        anchors.check(chain, now_us())


def test_a_key_of_a_kind_that_cannot_sign_frames_is_not_believed() -> None:
    strange = ed25519.Ed25519PrivateKey.generate()
    leaf = certify(strange, SERVER, issuer=(ROOT, ROOT_KEY))  # type: ignore[arg-type]
    with pytest.raises(Untrusted):
        Anchors(authorities=[ROOT]).check(der(leaf), now_us())


def test_anchors_are_read_from_hex_and_pem(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(ROOT.public_bytes(Encoding.PEM) + MIDDLE.public_bytes(Encoding.PEM))
    anchors = load_anchors(["ab" * 32], [path])
    assert anchors.pins == {b"\xab" * 32}
    assert anchors.authorities == (ROOT, MIDDLE)


@pytest.mark.parametrize("pin", ["", "ab", "zz" * 32, "ab" * 33])
def test_an_anchor_that_is_no_sha_256_is_refused(pin: str) -> None:
    with pytest.raises(ValueError):
        load_anchors([pin], [])
