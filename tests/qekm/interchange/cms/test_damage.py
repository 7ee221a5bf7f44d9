"""Whatever happens to a file on its way, its keys are as they were or nothing comes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import BadCertificate, BadFile
from qekm.interchange import cms
from qekm.interchange import parcel as parcels
from qekm.interchange.cms import envelope, signature
from qekm.interchange.der import SEQUENCE, element
from qekm.interchange.parcel import Parcel
from tests.qekm.interchange.cms.parties import ELLIPTIC, KEYS, RECIPIENT, seal, trust
from tests.qekm.interchange.organisation import told

REFUSED = (BadFile, BadCertificate)
SAMPLE, MANY = 500, 1_000  # of the bits in the ciphertext; 2,000 of a whole export: tests/faults
Open = Callable[[bytes], Parcel]


def unseal(data: bytes) -> Parcel:
    """Read a file as the product does."""
    return cms.unseal(data, RECIPIENT.key, RECIPIENT.certificate, trust(ELLIPTIC))[0]


def without_tag(data: bytes) -> Parcel:
    """Read a file as a careless program would that decrypts and does not check the tag."""
    signed = _decrypted(data)
    signed.verify()
    return parcels.parse(signed.payload)


def without_tag_and_signature(data: bytes) -> Parcel:
    """Read a file as a program would that believes whatever decrypts."""
    return parcels.parse(_decrypted(data).payload)


def _decrypted(data: bytes) -> signature.Signed:
    """Decrypt without a look at the tag: GCM is counter mode from block 2 on (SP 800-38D, 7.2)."""
    taken = envelope.parse(memoryview(data))
    try:
        key = RECIPIENT.key.decrypt(taken.wrapped_key, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
    except ValueError:
        raise BadFile("the padding does not fit") from None
    plain = Cipher(AES(key), CTR(taken.nonce + b"\0\0\0\2")).decryptor().update(taken.ciphertext)
    return signature.parse(memoryview(plain))


def census(data: bytes, open_file: Open, bits: Iterable[int]) -> Counter[str]:
    """Flip one bit after the other and count what becomes of the keys; another error than ours ends it."""
    good, found = told(open_file(data).keys), Counter[str]()
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found["same" if told(open_file(bytes(flipped)).keys) == good else "changed"] += 1
        except REFUSED:
            found["refused"] += 1
    return found


def _sealed(data: bytes) -> range:
    ciphertext = envelope.parse(memoryview(data)).ciphertext
    start = 8 * data.index(ciphertext)
    return range(start, start + 8 * len(ciphertext))


def sealed_bits(data: bytes, count: int = SAMPLE) -> list[int]:
    """Return so many bits of the ciphertext."""
    return random.Random(1).sample(_sealed(data), count)


def other_bits(data: bytes) -> list[int]:
    """Return all bits before and after the ciphertext."""
    sealed = _sealed(data)
    return [*range(sealed.start), *range(sealed.stop, 8 * len(data))]


def test_no_flipped_bit_changes_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    data = seal(keys=KEYS[:1])
    found = census(data, unseal, sealed_bits(data) + other_bits(data))
    with capsys.disabled():
        print(f"\nbits flipped in {len(data)} bytes: {dict(found)}")
    assert found["changed"] == 0
    assert found["same"] == 0, "DER and exact algorithms leave no bit without a meaning"
    assert found["refused"] > SAMPLE


def test_the_signature_alone_would_find_every_changed_key(capsys: pytest.CaptureFixture[str]) -> None:
    data = seal(keys=KEYS[:1])
    found = census(data, without_tag, [*sealed_bits(data), *range(8 * len(data) - 128, 8 * len(data))])
    with capsys.disabled():
        print(f"\nbits flipped, tag not checked: {dict(found)}")
    assert found["changed"] == 0
    assert found["same"] >= 128, "those of the tag, which nobody looks at"


def test_a_reader_that_checks_neither_tag_nor_signature_would_be_caught(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The control: the same count finds altered keys when the checks are left out."""
    data = seal(keys=KEYS[:1])
    found = census(data, without_tag_and_signature, sealed_bits(data, MANY))
    with capsys.disabled():
        print(f"\nbits flipped, neither tag nor signature checked: {dict(found)}")
    assert found["changed"] > 20


def test_a_file_that_is_cut_off_anywhere_or_drawn_out_is_refused() -> None:
    data = seal(keys=KEYS[:1])
    for wrong in (*(data[:length] for length in range(len(data))), data + b"\0", data * 2, b"\0" + data):
        with pytest.raises(REFUSED):
            unseal(wrong)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4
    ),
)
def test_hostile_bytes_are_refused_with_an_error_of_ours(
    inside: int, cuts: list[tuple[int, int, bytes]]
) -> None:
    """Pieces are cut out and put in, of the envelope or of what is signed inside it."""
    good, read = ((OUTSIDE, _keys), (INSIDE, _payload))[inside]
    data = bytearray(good)
    for at, length, piece in cuts:
        data[at % len(data) : at % len(data) + length] = piece
    try:
        found = read(bytes(data))
    except REFUSED:
        return
    assert found == read(good)


def _keys(data: bytes) -> object:
    return told(unseal(data).keys)


def _payload(data: bytes) -> object:
    """Return what was signed and whose key says so; other parts of certificates are for `check_sender`."""
    signed = signature.parse(memoryview(data))
    signed.verify()
    return bytes(signed.payload), signed.chain[0].public_key()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_an_error_of_ours(data: bytes) -> None:
    for read in (
        unseal,
        lambda data: signature.parse(memoryview(data)),
        lambda data: parcels.parse(memoryview(data)),
    ):
        with pytest.raises(REFUSED):
            read(data)


def test_deeply_nested_der_is_refused_without_descending_into_it() -> None:
    data = b""
    for _ in range(5_000):
        data = element(SEQUENCE, data)
    with pytest.raises(BadFile):
        unseal(data)


OUTSIDE = seal(keys=KEYS[:1])
INSIDE = bytes(envelope.parse(memoryview(OUTSIDE)).open(RECIPIENT.key, RECIPIENT.certificate))
