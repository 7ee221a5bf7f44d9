"""The T10 pages, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp import pages
from qekm.dkp.codes import Code, Fault
from qekm.dkp.pages import PublicKeyType
from tests.dkp.material import DKI, set_page, status_page

# docs/protocol.md, section 13: accepted by an independent drive emulator.
PLAIN = bytes.fromhex(
    "0010004040000203010000000000000000000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "0100000c514b4d000000000000000001"
)


def modulus(bits: int) -> int:
    """Return an odd number of exactly so many bits."""
    return (1 << (bits - 1)) | 0x123457


def refusal(page: bytes) -> Fault:
    """Return the fault that page 0031h gives."""
    with pytest.raises(Fault) as caught:
        pages.parse_public_key_page(page)
    return caught.value


def test_the_plain_page_is_the_published_one() -> None:
    assert pages.build_plain_page(False, 2, 3, bytes(range(32)), DKI) == PLAIN
    page = pages.parse_set_data_encryption(PLAIN)
    assert (page.key_format, page.key, page.dki) == (0, bytes(range(32)), DKI)
    assert "000102" not in repr(page)
    assert "key=" not in repr(page)


@pytest.mark.parametrize(("bits", "kind"), [(2048, PublicKeyType.RSA_2048), (3072, PublicKeyType.RSA_3072)])
@pytest.mark.parametrize("exponent", [65537, 2**32 - 1])
def test_a_public_key_page_comes_back(bits: int, kind: PublicKeyType, exponent: int) -> None:
    page = pages.public_key_page(modulus(bits), exponent, bits)
    size = bits // 8
    head = "0031" + f"{10 + 2 * size:04x}" + f"{int(kind):08x}" + "00000000" + f"{2 * size:04x}"
    assert page == bytes.fromhex(head) + modulus(bits).to_bytes(size) + exponent.to_bytes(size)
    assert pages.parse_public_key_page(page) == (kind, modulus(bits), exponent)
    assert kind.bits == bits
    assert kind.parameter_set == (0 if bits == 2048 else 0x8001)


@pytest.mark.parametrize("exponent", [0, 1, 3, 65535, 65536, 65538, 2**32 + 1, 2**2047 + 1])
def test_an_exponent_out_of_bounds_is_ee2c(exponent: int) -> None:
    assert refusal(pages.public_key_page(modulus(2048), exponent)).code is Code.EE2C


@pytest.mark.parametrize("number", [0, 1, modulus(2047), modulus(2048) - 1])
def test_a_modulus_that_is_short_or_even_is_ee2c(number: int) -> None:
    assert refusal(pages.public_key_page(number, 65537)).code is Code.EE2C


def test_every_header_byte_of_a_public_key_page_counts() -> None:
    page = pages.public_key_page(modulus(2048), 65537)
    for at in range(14):
        for bit in range(8):
            bad = bytearray(page)
            bad[at] ^= 1 << bit
            assert refusal(bytes(bad)).code is Code.EE2C
    for short in (b"", page[:13], page[:-1], page + b"\0"):
        assert refusal(short).code is Code.EE2C


def test_a_random_number_page_comes_back() -> None:
    nonce = bytes(range(32))
    assert pages.random_number_page(nonce).hex() == "00300020" + nonce.hex()
    assert pages.parse_random_number_page(pages.random_number_page(nonce)) == nonce


def test_a_status_page_is_built_as_read() -> None:
    page = pages.next_block_status_page(6, DKI, 0x0102030405060708)
    assert page.hex() == "0021001c0102030405060708060100000101000c" + DKI.hex()
    assert pages.akad_of(page) == DKI
    assert pages.encryption_status(page) == 6
    assert pages.akad_of(pages.next_block_status_page(5)) is None


def test_a_short_a_kad_is_padded_and_others_are_passed_over() -> None:
    page = status_page(0x35, b"key1", more=b"\0\1\0\4user\2\1\0\2no")
    assert pages.akad_of(page) == b"key1" + bytes(8)
    assert pages.encryption_status(page) == 5


def test_a_captured_status_page_with_a_u_kad_names_no_dki() -> None:
    page = bytes.fromhex("0021001c000000000000000005010000" + "0001000c48656c6c6f20776f726c6421")
    assert pages.akad_of(page) is None
    assert pages.encryption_status(page) == 5


def test_every_head_byte_of_a_set_data_encryption_page_counts() -> None:
    good = set_page(b"k" * 32, key_format=0, byte5=0)
    assert pages.parse_set_data_encryption(good).key == b"k" * 32
    free = {6, 7}  # the modes: the caller compares them with what it asked
    for at in set(range(20)) - free | {52, 53, 54, 55}:
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            if (at, bit) in ((5, 2), (9, 1)):
                continue  # clear on demount, wrapped key
            with pytest.raises(Fault) as caught:
                pages.parse_set_data_encryption(bytes(bad))
            assert caught.value.code is Code.EE23


@given(
    st.booleans(),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([0x0000, 0x8001]),
    st.binary(max_size=200),
    st.binary(max_size=400),
    st.binary(min_size=12, max_size=12),
)
def test_a_wrapped_page_comes_back(
    ckod: bool, encrypt: int, decrypt: int, parameter_set: int, label: bytes, wrapped: bytes, dki: bytes
) -> None:
    raw = pages.build_wrapped_page(ckod, encrypt, decrypt, parameter_set, label, wrapped, dki)
    page = pages.parse_set_data_encryption(raw)
    assert pages.serialize_set_data_encryption(page) == raw
    assert (page.clear_on_demount, page.encryption_mode, page.decryption_mode) == (ckod, encrypt, decrypt)
    assert page.dki == dki
    assert pages.split_wrapped_key(page.key) == (parameter_set, label, wrapped)


def test_a_full_label_has_six_descriptors_in_order() -> None:
    wwnn, spki, nonce, dcert = b"w" * 8, b"s" * 32, b"n" * 32, b"d" * 32
    label = pages.build_label(wwnn, spki, 0x0102030405060708, 6, nonce, DKI, dcert)
    assert label.hex() == (
        "00000008"
        + wwnn.hex()
        + "01000020"
        + spki.hex()
        + "0200002c010203040506070800000006"
        + nonce.hex()
        + "0300000c"
        + DKI.hex()
        + "040000020100"
        + "80000020"
        + dcert.hex()
    )
    assert pages.parse_label(label)[2] == (2, bytes.fromhex("010203040506070800000006") + nonce)
    assert [kind for kind, _ in pages.parse_label(label)] == [0, 1, 2, 3, 4, 0x80]


def test_a_t10_label_has_two_descriptors() -> None:
    assert pages.parse_label(pages.build_t10_label(b"w" * 8)) == ((0, b"w" * 8), (4, b"\x01\x00"))


@pytest.mark.parametrize(
    "label", ["00000001", "000100016b", "0100000000000000", "0000000000000000", "000000"]
)
def test_a_label_out_of_order_or_cut_off_is_ee23(label: str) -> None:
    with pytest.raises(Fault) as caught:
        pages.parse_label(bytes.fromhex(label))
    assert caught.value.code is Code.EE23
