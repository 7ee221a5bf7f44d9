"""Aliases and the DKi that stand for them."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp.codes import Code, Fault
from qekm.dkp.names import alias_to_dki, dki_to_alias, fold, generated_alias, is_alias

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
GRAPHIC = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
LONG = st.builds(
    lambda prefix, digits: f"{prefix}00{digits}",
    st.text(PRINTABLE, min_size=3, max_size=3),
    st.text(string.hexdigits, min_size=16, max_size=16),
)
SHORT = st.text(GRAPHIC, min_size=4, max_size=12)


def spell(alias: str) -> str:
    """Return the one spelling of an alias: hex digits in upper case."""
    return alias[:3] + alias[3:].upper() if len(alias) == 21 else alias


@pytest.mark.parametrize(
    ("alias", "dki"),
    [
        ("QKM000000000000000001", "514b4d000000000000000001"),
        ("QKM00abcdefABCDEF1234", "514b4d00abcdefabcdef1234"),
        ("key1", "6b6579310000000000000000"),
        ("twelve_chars", "7477656c76655f6368617273"),
    ],
)
def test_an_alias_packs_into_twelve_bytes(alias: str, dki: str) -> None:
    assert is_alias(alias)
    assert alias_to_dki(alias).hex() == dki
    assert dki_to_alias(bytes.fromhex(dki)) == spell(alias)


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "key",
        "thirteen_char",
        "with space",
        "QKM010000000000000001",
        "QKM00000000000000000g",
        "QKM0000000000000000001",
        "QK\t000000000000000001",
        "QKé000000000000000001",
        "schlüssel",
        "QKM000000000000000001\n",
        "QKM00000000000000000\uff11",
    ],
)
def test_what_is_no_alias_is_ee31(alias: str) -> None:
    assert not is_alias(alias)
    with pytest.raises(Fault) as caught:
        alias_to_dki(alias)
    assert caught.value.code is Code.EE31


@given(LONG | SHORT)
def test_alias_to_dki_and_back_changes_the_spelling_only(alias: str) -> None:
    dki = alias_to_dki(alias)
    assert len(dki) == 12
    assert dki_to_alias(dki) == spell(alias)
    assert fold(spell(alias)) == fold(alias)
    assert spell(spell(alias)) == spell(alias)


@given(st.binary(min_size=12, max_size=12) | st.binary(max_size=14))
def test_a_dki_names_one_alias_or_none(dki: bytes) -> None:
    try:
        alias = dki_to_alias(dki)
    except Fault as fault:
        assert fault.code is Code.EE31
        return
    assert alias_to_dki(alias) == dki


@given(LONG | SHORT, LONG | SHORT)
def test_the_same_dki_means_the_same_alias(one: str, other: str) -> None:
    if alias_to_dki(one) == alias_to_dki(other):
        assert fold(one) == fold(other)


@pytest.mark.parametrize(
    "dki", ["", "514b4d00", "6b657900" + "00" * 7, "6b6579316b00790000000000", "6b0079" + "31" * 9, "00" * 12]
)
def test_a_dki_that_no_alias_gives_is_ee31(dki: str) -> None:
    with pytest.raises(Fault) as caught:
        dki_to_alias(bytes.fromhex(dki))
    assert caught.value.code is Code.EE31


@given(st.binary(min_size=5, max_size=5), st.integers(0, 0xFFFFFF))
def test_generated_aliases_are_aliases_and_differ(tag: bytes, counter: int) -> None:
    alias = generated_alias(tag.hex(), counter)
    assert len(alias) == 21
    assert is_alias(alias)
    assert spell(alias) == alias
    assert generated_alias(tag.hex(), counter ^ 1) != alias


@pytest.mark.parametrize(("tag", "counter"), [("0" * 9, 1), ("0" * 10, -1), ("0" * 10, 2**24), ("x" * 10, 1)])
def test_an_alias_is_not_generated_from_nonsense(tag: str, counter: int) -> None:
    with pytest.raises(Fault):
        generated_alias(tag, counter)
