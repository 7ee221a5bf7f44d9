"""A command password's verifier: the right password, every wrong one, other costs, damage."""

from __future__ import annotations

import unicodedata

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import BadPassword, QekmError, StoreDamaged
from qekm.sealing import COST, Cost, KeyRing, Verifiers
from qekm.secret import Secret

CHEAP = Cost(8, 1, 1)
PEPPER = bytes(range(32))
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40)


_GOOD = Verifiers(PEPPER, cost=CHEAP, random_bytes=lambda count: b"s" * count).make(Secret(b"correct horse"))
PLACES = st.integers(0, len(_GOOD) - 1) | st.integers(15, 30)  # the cost is between them
NUMBERS = st.sampled_from([b"0", b"7", b"1", b"12", b"999", b"$", b",", b"="])


def _altered(at: int, what: bytes) -> bytes:
    return _GOOD[:at] + what + _GOOD[at + 1 :]


def made(password: str, cost: Cost = CHEAP) -> bytes:
    return Verifiers(PEPPER, cost=cost).make(Secret(password.encode()))


def is_right(verifier: bytes, password: str) -> bool:
    return Verifiers(PEPPER).is_right(verifier, Secret(password.encode()))


@settings(max_examples=60, deadline=None)
@given(PASSWORDS, PASSWORDS)
def test_the_right_password_verifies_and_no_other(password: str, other: str) -> None:
    try:
        verifier = made(password)
    except BadPassword:
        assert len(unicodedata.normalize("NFC", password)) < 8 or password.casefold() == "changeme"
        return
    assert is_right(verifier, password)
    assert is_right(verifier, other) == (
        unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", password)
    )
    assert password.encode() not in verifier


def test_a_password_is_the_same_from_every_keyboard() -> None:
    composed, decomposed = (
        unicodedata.normalize("NFC", "señor über"),
        unicodedata.normalize("NFD", "señor über"),
    )
    assert composed != decomposed and is_right(made(composed), decomposed)


def test_the_form_is_the_one_that_others_read() -> None:
    """The PHC string format, which the library under ours reads and writes itself."""
    verifier = made("correct horse", Cost(64, 2, 1))
    assert verifier.startswith(b"$argon2id$v=19$m=64,t=2,p=1$")
    Argon2id.verify_phc_encoded(b"correct horse", verifier.decode(), secret=PEPPER)
    argon = Argon2id(salt=b"s" * 16, length=32, iterations=2, lanes=1, memory_cost=64, secret=PEPPER)
    assert is_right(argon.derive_phc_encoded(b"correct horse").encode(), "correct horse")


def test_two_verifiers_of_one_password_tell_nothing() -> None:
    assert made("correct horse") != made("correct horse")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "changeME", "PASSWORD", "12345678"])
def test_what_may_not_be_set_is_refused(password: str) -> None:
    with pytest.raises(BadPassword):
        made(password)


@pytest.mark.parametrize("password", ["eight888", "x" * 1024, "ä" * 1024, "🔑" * 1024])
def test_the_shortest_and_the_longest_are_taken_whole(password: str) -> None:
    verifier = made(password)
    assert is_right(verifier, password)
    assert not is_right(verifier, password[:-1])


def test_what_nobody_could_have_set_is_no_password() -> None:
    for odd in (b"\xff" * 9, b"x" * 1025):
        with pytest.raises(BadPassword):
            Verifiers(PEPPER).is_right(made("correct horse"), Secret(odd))


def test_a_verifier_of_a_lower_cost_is_weak_and_made_anew_by_whatever_rules_it_was_set() -> None:
    cheap = Verifiers(PEPPER, cost=CHEAP)
    weak = cheap.strengthen(Secret(b"short"))
    assert Verifiers(PEPPER).is_weak(weak) and is_right(weak, "short")
    assert not Verifiers(PEPPER).is_weak(made("correct horse", COST)) and not cheap.is_weak(weak)
    for more in (Verifiers(PEPPER, cost=cost) for cost in (Cost(9, 1, 1), Cost(8, 2, 1))):
        assert more.is_weak(weak)
        assert not more.is_weak(more.strengthen(Secret(b"short")))


def test_whoever_has_the_store_alone_cannot_even_guess() -> None:
    """Without the pepper, which comes from the root key, the right password verifies no more than another."""
    verifier = made("correct horse")
    assert not Verifiers(bytes(32)).is_right(verifier, Secret(b"correct horse"))
    ring, other = (KeyRing(Secret(root), bytes(16)) for root in (bytes(32), b"\1" * 32))
    assert ring.pepper == KeyRing(Secret(bytes(32)), bytes(16), versions=(1, 2)).pepper
    assert len({ring.pepper, other.pepper, KeyRing(Secret(bytes(32)), b"\1" * 16).pepper}) == 3


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=150) | st.builds(_altered, PLACES, st.binary(max_size=2) | NUMBERS))
def test_whatever_the_bytes_only_its_own_error_is_raised(verifier: bytes) -> None:
    try:
        right = Verifiers(PEPPER).is_right(verifier, Secret(b"correct horse"))
    except QekmError as error:
        assert isinstance(error, StoreDamaged)
    else:
        assert not right or verifier == _GOOD
