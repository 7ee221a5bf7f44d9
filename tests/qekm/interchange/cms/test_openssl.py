"""openssl reads what we write; what it writes we read if it is exactly what we accept."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from qekm.errors import BadCertificate, BadFile
from qekm.interchange import cms
from qekm.interchange import parcel as parcels
from qekm.interchange.cms import envelope
from qekm.interchange.parcel import Parcel
from tests.qekm.interchange.cms.openssl import OAEP, PSS, OpenSsl, needs_openssl
from tests.qekm.interchange.cms.parties import (
    ELLIPTIC,
    KEYS,
    OURS,
    RECIPIENT,
    RSA,
    THEIRS,
    THIRD,
    seal,
    trust,
)
from tests.qekm.interchange.organisation import ESTATE, NOW_US, Identity, told

pytestmark = needs_openssl
SENDERS = pytest.mark.parametrize("sender", [ELLIPTIC, RSA], ids=["P-256", "RSA-PSS"])
P384 = OURS.issue("P-384", ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    return OpenSsl(tmp_path)


def payload() -> bytes:
    return bytes(parcels.serialize(Parcel(ESTATE, RECIPIENT.fingerprint, NOW_US, tuple(KEYS))))


def unseal(data: bytes, sender: Identity = ELLIPTIC) -> Parcel:
    return cms.unseal(data, RECIPIENT.key, RECIPIENT.certificate, trust(sender))[0]


# What we write.


@SENDERS
def test_openssl_decrypts_and_verifies_our_file(openssl: OpenSsl, sender: Identity) -> None:
    signed = openssl.decrypt(seal(sender), RECIPIENT)
    assert openssl.verify(signed, OURS) == payload()


@SENDERS
def test_openssl_follows_the_certificates_in_our_file_to_the_root(openssl: OpenSsl, sender: Identity) -> None:
    below = OURS.issue("Between", ca=True).issue("Below", sender.key)
    signed = openssl.decrypt(seal(below), RECIPIENT)
    assert openssl.verify(signed, OURS) == payload()


def test_openssl_refuses_our_file_for_another_key_and_our_signature_under_another_root(
    openssl: OpenSsl,
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        openssl.decrypt(seal(), THIRD)
    signed = openssl.decrypt(seal(), RECIPIENT)
    with pytest.raises(subprocess.CalledProcessError):
        openssl.verify(signed, THEIRS)


@pytest.mark.parametrize("at", [-1, -20], ids=["tag", "ciphertext"])
def test_openssl_checks_our_tag(openssl: OpenSsl, at: int) -> None:
    data = bytearray(seal())
    data[at] ^= 1
    with pytest.raises(subprocess.CalledProcessError):
        openssl.decrypt(bytes(data), RECIPIENT)


def test_openssl_checks_our_signature(openssl: OpenSsl) -> None:
    signed = bytearray(openssl.decrypt(seal(), RECIPIENT))
    signed[-1] ^= 1
    with pytest.raises(subprocess.CalledProcessError):
        openssl.verify(bytes(signed), OURS)


# What openssl writes.


@pytest.mark.parametrize(("sender", "options"), [(ELLIPTIC, ()), (RSA, PSS)], ids=["P-256", "RSA-PSS"])
def test_a_file_that_openssl_made_is_read(
    openssl: OpenSsl, sender: Identity, options: tuple[str, ...]
) -> None:
    data = openssl.encrypt(openssl.sign(payload(), sender, options=options), RECIPIENT)
    assert told(unseal(data, sender).keys) == told(KEYS)


ENVELOPES = {
    "EnvelopedData, CBC": {"cipher": "aes-256-cbc"},
    "AES-128-GCM": {"cipher": "aes-128-gcm"},
    "AES-192-GCM": {"cipher": "aes-192-gcm"},
    "PKCS#1 v1.5": {"options": ()},
    "OAEP, SHA-1": {"options": ("rsa_padding_mode:oaep",)},
    "OAEP, SHA-512": {"options": ("rsa_padding_mode:oaep", "rsa_oaep_md:sha512")},
    "OAEP, MGF1-SHA-1": {"options": ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha1")},
    "OAEP with a label": {"options": (*OAEP, "rsa_oaep_label:00")},
    "by key identifier": {"more": ("-keyid",)},
    "BER": {"more": ("-stream",)},
}


@pytest.mark.parametrize("wrong", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_an_envelope_with_anything_else_is_refused(
    openssl: OpenSsl, wrong: dict[str, tuple[str, ...]]
) -> None:
    data = openssl.encrypt(openssl.sign(payload(), ELLIPTIC), RECIPIENT, **wrong)  # type: ignore[arg-type]
    assert openssl.decrypt(data, RECIPIENT), "it is a good file, but not for us"
    with pytest.raises(BadFile):
        unseal(data)


def test_an_envelope_for_two_recipients_is_refused(openssl: OpenSsl) -> None:
    data = openssl.encrypt(openssl.sign(payload(), ELLIPTIC), RECIPIENT, THIRD)
    with pytest.raises(BadFile):
        unseal(data)


def test_a_signed_file_alone_and_keys_without_a_signature_are_refused(openssl: OpenSsl) -> None:
    with pytest.raises(BadFile, match="AuthEnvelopedData"):
        unseal(openssl.sign(payload(), ELLIPTIC))
    with pytest.raises(BadFile):
        unseal(openssl.encrypt(payload(), RECIPIENT))
    with pytest.raises(BadFile, match="not signed"):
        unseal(openssl.encrypt(openssl.cms(payload(), "-data_create", "-outform", "DER"), RECIPIENT))


SIGNATURES = {
    "RSA, PKCS#1 v1.5": (RSA, {}),
    "PSS, short salt": (RSA, {"options": ("rsa_padding_mode:pss", "rsa_pss_saltlen:20")}),
    "PSS, SHA-512": (RSA, {"options": ("rsa_padding_mode:pss", "rsa_pss_saltlen:32"), "md": "sha512"}),
    "ECDSA, SHA-1": (ELLIPTIC, {"md": "sha1"}),
    "ECDSA, SHA-384": (ELLIPTIC, {"md": "sha384"}),
}


@pytest.mark.parametrize(("sender", "wrong"), SIGNATURES.values(), ids=SIGNATURES.keys())
def test_a_signature_of_another_algorithm_is_refused(
    openssl: OpenSsl, sender: Identity, wrong: dict[str, tuple[str, ...]]
) -> None:
    signed = openssl.sign(payload(), sender, **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadFile, match="another"):
        unseal(_sealed(signed), sender)


def test_a_signature_on_another_curve_is_refused(openssl: OpenSsl) -> None:
    with pytest.raises(BadCertificate, match="P-256"):
        unseal(_sealed(openssl.sign(payload(), P384)), P384)


@pytest.mark.parametrize(
    "more",
    [("-noattr",), ("-nocerts",), ("-keyid",), ("-econtent_type", "1.2.840.113549.1.7.2"), ("-stream",)],
    ids=["no attributes", "no certificates", "by key identifier", "another type of contents", "BER"],
)
def test_a_signature_of_another_form_is_refused(openssl: OpenSsl, more: tuple[str, ...]) -> None:
    pem, key = openssl.keep("s.pem", ELLIPTIC.pem()), openssl.keep("s.key", ELLIPTIC.key_pem())
    signed = openssl.cms(
        payload(), "-sign", "-nodetach", "-outform", "DER", "-signer", pem, "-inkey", key, *more
    )
    with pytest.raises(BadFile):
        unseal(_sealed(signed))


def test_a_detached_signature_and_one_of_two_signers_are_refused(openssl: OpenSsl) -> None:
    pem, key = openssl.keep("s.pem", ELLIPTIC.pem()), openssl.keep("s.key", ELLIPTIC.key_pem())
    detached = openssl.cms(payload(), "-sign", "-outform", "DER", "-signer", pem, "-inkey", key)
    for signed in (detached, openssl.sign(payload(), ELLIPTIC, RSA)):
        with pytest.raises(BadFile):
            unseal(_sealed(signed))


def _sealed(signed: bytes) -> bytes:
    return envelope.seal(bytearray(signed), RECIPIENT.certificate, os.urandom)
