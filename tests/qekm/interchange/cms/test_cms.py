"""Exported keys reach whom they are for, from whom they claim to be, and nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from asn1crypto import cms as asn1
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.dkp.names import alias_to_dki
from qekm.errors import BadArgument, BadCertificate, BadFile, TooMany
from qekm.interchange import cms
from qekm.interchange import parcel as parcels
from qekm.interchange.cms import Sender, envelope, signature
from qekm.interchange.parcel import MAX_KEYS, Parcel, SharedKey
from qekm.secret import Secret
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
from tests.qekm.interchange.organisation import ESTATE, NOW_US, Identity, make_keys, root, rsa_key, told


def unseal(data: bytes, recipient: Identity = RECIPIENT, sender: Identity = ELLIPTIC) -> Parcel:
    return cms.unseal(data, recipient.key, recipient.certificate, trust(sender))[0]


@pytest.mark.parametrize("sender", [ELLIPTIC, RSA], ids=["P-256", "RSA-PSS"])
def test_keys_arrive_as_they_were(sender: Identity) -> None:
    parcel, chain = cms.unseal(seal(sender), RECIPIENT.key, RECIPIENT.certificate, trust(sender))
    assert told(parcel.keys) == told(KEYS)
    assert (parcel.estate, parcel.export_time_us) == (ESTATE, NOW_US)
    assert parcel.recipient == RECIPIENT.fingerprint
    assert chain == (sender.certificate,)


def test_a_file_shows_neither_keys_nor_names() -> None:
    data = seal()
    for key in KEYS:
        for shown in (key.material.reveal(), key.alias.encode(), key.dki, key.group.encode()):
            assert shown not in data
    assert seal() != data, "a key and a nonce of its own each time"


def test_what_an_error_or_a_repr_shows_is_no_key() -> None:
    material = KEYS[0].material.reveal()
    shown = repr(unseal(seal())) + repr(ELLIPTIC.sender)
    with pytest.raises(BadFile) as refused:
        parcels.parse(memoryview(parcels.serialize(_parcel(KEYS)))[:-1])
    shown += repr(refused.value) + str(refused.value.details)
    assert repr(material)[2:10] not in shown
    assert material.hex()[:8] not in shown.lower()
    assert "PrivateKey" not in shown


def test_the_certificates_above_the_sender_travel_with_the_file() -> None:
    sender = OURS.issue("Between", ca=True).issue("Below")
    found: list[object] = []
    cms.unseal(seal(sender), RECIPIENT.key, RECIPIENT.certificate, found.extend)
    assert tuple(found) == sender.chain
    assert len(found) == 2


alias = st.one_of(
    st.from_regex(r"[\x20-\x7e]{3}00[0-9A-Fa-f]{16}", fullmatch=True),
    st.from_regex(r"[\x21-\x7e]{4,12}", fullmatch=True),
)
shared = st.builds(
    SharedKey,
    alias,
    st.binary(min_size=32, max_size=32).map(Secret),
    st.from_regex(r"[\x21-\x7e]{1,64}", fullmatch=True),
    st.integers(0, 2**63 - 1),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(shared, max_size=8, unique_by=lambda key: alias_to_dki(key.alias)),
    st.sampled_from([ELLIPTIC, RSA]),
)
def test_any_keys_come_back_the_same_in_order_of_their_dkis(keys: list[SharedKey], sender: Identity) -> None:
    parcel = unseal(seal(sender, keys=keys), sender=sender)
    assert told(parcel.keys) == told(sorted(keys, key=lambda key: key.dki))


@pytest.mark.parametrize("now_us", [0, NOW_US, 2_600_000_000_000_000], ids=["1970", "2030", "2052"])
def test_the_signing_time_is_written_as_the_standard_says_before_and_after_2050(now_us: int) -> None:
    signed = signature.sign(bytearray(b"x"), ELLIPTIC.sender, now_us)
    info = asn1.ContentInfo.load(bytes(signed))["content"]["signer_infos"][0]
    (time,) = (each["values"][0] for each in info["signed_attrs"] if each["type"].native == "signing_time")
    assert int(time.native.timestamp()) * 1_000_000 == now_us
    assert time.name == ("utc_time" if now_us <= NOW_US else "generalized_time")


# Another reader of ASN.1 finds in our files what they should hold.


def test_an_independent_reader_finds_the_envelope_that_the_standards_describe() -> None:
    info = asn1.ContentInfo.load(seal(), strict=True)
    assert info["content_type"].native == "authenticated_enveloped_data"
    content = info["content"].native
    (recipient,) = content["recipient_infos"]
    assert (content["version"], recipient["version"]) == ("v0", "v0")
    assert recipient["rid"]["serial_number"] == RECIPIENT.certificate.serial_number
    sha256 = {"algorithm": "sha256", "parameters": None}
    mask = {"algorithm": "mgf1", "parameters": sha256}
    algorithm = recipient["key_encryption_algorithm"]
    assert algorithm["algorithm"] == "rsaes_oaep"
    assert (algorithm["parameters"]["hash_algorithm"], algorithm["parameters"]["mask_gen_algorithm"]) == (
        sha256,
        mask,
    )
    encrypted = content["auth_encrypted_content_info"]
    assert encrypted["content_type"] == "data"
    assert encrypted["content_encryption_algorithm"]["algorithm"] == "aes256_gcm"
    assert (len(content["mac"]), len(recipient["encrypted_key"])) == (16, 256)
    for absent in ("originator_info", "auth_attrs", "unauth_attrs"):
        assert content[absent] is None


@pytest.mark.parametrize(
    ("sender", "name"), [(ELLIPTIC, "sha256_ecdsa"), (RSA, "rsassa_pss")], ids=["P-256", "RSA"]
)
def test_an_independent_reader_finds_the_signature_that_the_standards_describe(
    sender: Identity, name: str
) -> None:
    signed = asn1.ContentInfo.load(
        bytes(signature.sign(bytearray(b"payload"), sender.sender, NOW_US)), strict=True
    )
    content = signed["content"].native
    (signer,) = content["signer_infos"]
    assert (content["version"], signer["version"]) == ("v1", "v1")
    assert content["encap_content_info"] == {"content_type": "data", "content": b"payload"}
    assert signer["sid"]["serial_number"] == sender.certificate.serial_number
    assert [each["type"] for each in signer["signed_attrs"]] == [
        "content_type",
        "signing_time",
        "message_digest",
    ]
    assert (signer["digest_algorithm"]["algorithm"], signer["signature_algorithm"]["algorithm"]) == (
        "sha256",
        name,
    )
    assert signer["unsigned_attrs"] is None


# Who may not have them, who may not have sent them.


def test_another_recipient_cannot_read_a_file() -> None:
    with pytest.raises(BadFile, match="another recipient"):
        unseal(seal(), THIRD)


def test_the_recipients_certificate_without_its_key_reads_nothing() -> None:
    with pytest.raises(BadFile, match="altered"):
        cms.unseal(seal(), THIRD.key, RECIPIENT.certificate, trust(ELLIPTIC))


def test_a_renewed_certificate_of_the_same_key_is_another_recipient() -> None:
    renewed = THEIRS.issue("Importing", RECIPIENT.key)
    with pytest.raises(BadFile, match="another recipient"):
        unseal(seal(), renewed)


def test_keys_of_a_sender_who_is_not_trusted_are_not_taken() -> None:
    with pytest.raises(BadCertificate, match="not trusted"):
        unseal(seal(), sender=RSA)


def test_a_recipient_cannot_pass_keys_on_as_if_they_were_exported_to_the_next() -> None:
    signed = envelope.parse(memoryview(seal())).open(RECIPIENT.key, RECIPIENT.certificate)
    passed_on = envelope.seal(signed, THIRD.certificate, os.urandom)
    with pytest.raises(BadFile, match="exported for another recipient"):
        unseal(passed_on, THIRD)


def _forged(payload: bytes, sender: Identity = ELLIPTIC, alter: Callable[[bytearray], object] = len) -> bytes:
    """Return a file with a payload that nobody exports, altered after it was signed."""
    signed = signature.sign(bytearray(payload), sender.sender, NOW_US)
    alter(signed)
    return envelope.seal(signed, RECIPIENT.certificate, os.urandom)


def _replace(old: bytes, new: bytes) -> Callable[[bytearray], object]:
    def alter(signed: bytearray) -> None:
        assert signed.count(old) == 1
        signed[:] = signed.replace(old, new)

    return alter


def test_keys_that_were_exchanged_under_a_signature_are_not_taken() -> None:
    payload = bytes(parcels.serialize(_parcel(KEYS)))
    alter = _replace(KEYS[0].material.reveal(), bytes(32))
    with pytest.raises(BadCertificate, match="other contents"):
        unseal(_forged(payload, alter=alter))


def test_keys_that_were_exchanged_together_with_their_digest_are_not_taken() -> None:
    mine, other = (
        signature.sign(parcels.serialize(_parcel(make_keys(3))), RSA.sender, NOW_US) for _ in range(2)
    )
    signatures = [signature.parse(memoryview(each)).signature for each in (mine, other)]
    _replace(*signatures)(mine)
    with pytest.raises(BadCertificate, match="does not hold"):
        unseal(envelope.seal(mine, RECIPIENT.certificate, os.urandom), sender=RSA)


def test_whoever_signs_under_a_trusted_name_with_another_key_is_found_out() -> None:
    """The thief has the sender's certificate, which every file shows, but not its key."""
    thief = ec.generate_private_key(ec.SECP256R1())
    sender = object.__new__(Sender)
    object.__setattr__(sender, "chain", ELLIPTIC.chain)
    object.__setattr__(sender, "private_key", thief)
    signed = signature.sign(parcels.serialize(_parcel(KEYS)), sender, NOW_US)
    with pytest.raises(BadCertificate, match="does not hold"):
        unseal(envelope.seal(signed, RECIPIENT.certificate, os.urandom))


def test_nothing_of_a_payload_is_read_before_its_sender_is_trusted_and_signed_it() -> None:
    """A payload that cannot be read is only found to be so when everything else is well."""
    garbage = b"this is no parcel"
    with pytest.raises(BadCertificate, match="not trusted"):
        unseal(_forged(garbage, RSA))
    with pytest.raises(BadCertificate, match="does not hold"):
        unseal(_forged(garbage, alter=_replace(b"no parcel", b"mo parcel")))
    with pytest.raises(BadFile):
        unseal(_forged(garbage))


# What is sealed is checked first.


@pytest.mark.parametrize(
    "recipient",
    [
        THEIRS.issue("EC"),
        THEIRS.issue("short", rsa_key("short", 1024)),
    ],
    ids=["EC", "RSA-1024"],
)
def test_nothing_is_encrypted_to_a_key_that_is_not_strong_rsa(recipient: Identity) -> None:
    with pytest.raises(BadCertificate):
        seal(recipient=recipient)


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        ((), ELLIPTIC.key),
        (ELLIPTIC.chain * 9, ELLIPTIC.key),
        (ELLIPTIC.chain, RSA.key),
        (ELLIPTIC.chain, ec.generate_private_key(ec.SECP256R1())),
        ((curve := root("P-384", ec.generate_private_key(ec.SECP384R1()))).chain, curve.key),
        ((weak := root("RSA-1024", rsa_key("short", 1024))).chain, weak.key),
    ],
    ids=["none", "nine", "another kind", "another key", "P-384", "RSA-1024"],
)
def test_a_sender_has_a_chain_and_the_key_of_its_leaf(chain: tuple[object, ...], key: object) -> None:
    with pytest.raises(BadCertificate):
        Sender(chain, key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"alias": "x"},
        {"alias": "QKM990000000000000001"},
        {"group": ""},
        {"group": "two words"},
        {"group": "g" * 65},
        {"group": "grün"},
        {"create_time_us": -1},
        {"create_time_us": 2**63},
    ],
    ids=str,
)
def test_a_key_that_could_not_be_read_again_is_not_written(fields: dict[str, object]) -> None:
    good = {
        "alias": "QKM000000000000000001",
        "material": Secret(bytes(32)),
        "group": "g",
        "create_time_us": 1,
    }
    with pytest.raises(BadArgument) as refused:
        SharedKey(**good | fields)  # type: ignore[arg-type]
    assert refused.value.details["field"] in fields


def test_keys_of_another_length_and_two_of_one_dki_are_not_written() -> None:
    with pytest.raises(BadArgument, match="32 bytes"):
        seal(keys=[SharedKey("ABCD", Secret(bytes(16)), "g", 1)])
    twice = [SharedKey(f"ABC00000000000000000{end}", Secret(bytes(32)), "g", 1) for end in "aA"]
    with pytest.raises(BadArgument, match="twice"):
        seal(keys=twice)


def test_more_than_100_000_keys_do_not_go_into_one_file() -> None:
    with pytest.raises(TooMany):
        seal(keys=KEYS[:1] * (MAX_KEYS + 1))


def test_a_file_of_more_than_16_mib_is_not_even_read() -> None:
    with pytest.raises(BadFile, match="the most is"):
        unseal(bytes(cms.MAX_FILE + 1))


def test_100_000_keys_with_the_longest_names_fit(capsys: pytest.CaptureFixture[str]) -> None:
    material = Secret(bytes(32))
    keys = [SharedKey(f"QKM00{number:016X}", material, "g" * 64, 2**63 - 1) for number in range(MAX_KEYS)]
    data = seal(keys=keys)
    assert len(data) <= cms.MAX_FILE
    assert len(unseal(data).keys) == MAX_KEYS
    with capsys.disabled():
        print(f"\n{MAX_KEYS} keys: {len(data)} bytes of at most {cms.MAX_FILE}")


def _parcel(keys: list[SharedKey]) -> Parcel:
    return Parcel(ESTATE, RECIPIENT.fingerprint, NOW_US, tuple(keys))
