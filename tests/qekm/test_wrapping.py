"""A data key under a drive's session key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from qekm.dkp.codes import Code, Fault
from qekm.dkp.pages import public_key_page
from qekm.wrapping import SessionKey
from tests.fakes.drive import session_key

MATERIAL = bytes(range(32))


def page(bits: int, exponent: int = 65537, modulus: int = 0) -> bytes:
    numbers = session_key(0, bits).public_key().public_numbers()
    return public_key_page(modulus or numbers.n, exponent, bits)


def oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)


@pytest.mark.parametrize(("bits", "parameter_set"), [(2048, 0x0000), (3072, 0x8001)])
def test_a_wrapped_key_opens_with_the_session_key_and_the_label(bits: int, parameter_set: int) -> None:
    key = SessionKey(page(bits))
    wrapped = key.wrap(MATERIAL, b"label")
    assert key.parameter_set == parameter_set
    assert session_key(0, bits).decrypt(wrapped, oaep(b"label")) == MATERIAL


def test_another_label_does_not_open_it() -> None:
    wrapped = SessionKey(page(2048)).wrap(MATERIAL, b"label")
    with pytest.raises(ValueError):
        session_key().decrypt(wrapped, oaep(b"lab el"))


@pytest.mark.parametrize("exponent", [1, 3, 65536, 2**32 + 1, 2**2000 + 1])
def test_an_exponent_that_is_even_small_or_huge_is_ee2c(exponent: int) -> None:
    with pytest.raises(Fault) as refused:
        SessionKey(page(2048, exponent))
    assert refused.value.code is Code.EE2C


@pytest.mark.parametrize("modulus", [2**2047 + 2, 2**2046 + 1])
def test_a_modulus_that_is_even_or_short_is_ee2c(modulus: int) -> None:
    with pytest.raises(Fault) as refused:
        SessionKey(page(2048, modulus=modulus))
    assert refused.value.code is Code.EE2C
