"""The cover is the JDK's, to the byte, and asks for no more work than the JDK does."""

from __future__ import annotations

import pytest

from qekm.errors import BadFile, BadPassword
from qekm.interchange.der import INTEGER, OCTETS, SEQUENCE, element, integer
from qekm.interchange.jceks.cover import (
    MOST_ITERATIONS,
    SCHEME,
    Cover,
    Work,
    cover,
    password_bytes,
    stretch,
    uncover,
)
from qekm.secret import Secret

PASSWORD, PLAIN = b"correct horse", b"not a secret"
# Made by javax.crypto.Cipher of OpenJDK 17: salt, iterations, result. Salts of equal halves are a case apart.
BY_JAVA = [
    ("0102030405060708", 1, "e19a42616b91210a8ceadd88500e9ebc"),
    ("0102030405060708", 20, "76470bfdf62795aca6d65744f275cfda"),
    ("0102030405060708", 1000, "196135cdacfb19be42254fd55cfea4ea"),
    ("0102030401020304", 1, "9540698a6ac166a7a0e0b3169a32d2a0"),
    ("0102030401020304", 20, "91ef6c790be1d75fb9b27bbd39e01202"),
    ("0102030401020304", 1000, "a240b4a8991935c21a9d7f3cda32f1d6"),
    ("a0b1c2d3a0b1c2d3", 1, "4759095f1f18ea9b74d4d4aa002fb377"),
    ("a0b1c2d3a0b1c2d3", 20, "58939b50aa8460faf71e504ee906be0d"),
    ("a0b1c2d3a0b1c2d3", 1000, "a94337d20ce251dd1bd56a38bfb6c265"),
]


def parameters(iterations: bytes, salt: bytes = bytes(8)) -> bytes:
    return element(SEQUENCE, element(OCTETS, salt), iterations)


@pytest.mark.parametrize(("salt", "iterations", "result"), BY_JAVA)
def test_what_java_covers_is_uncovered_and_covered_the_same(salt: str, iterations: int, result: str) -> None:
    work = Work(bytes.fromhex(salt), iterations)
    derived = stretch(PASSWORD, work)
    covered = cover(PLAIN, work, derived)
    assert covered.content.hex() == result
    assert covered.work("the key") == work
    assert uncover(covered, derived) == PLAIN


def test_a_wrong_password_uncovers_nothing_but_by_chance() -> None:
    work = Work(bytes(range(8)), 1)
    covered = cover(PLAIN, work, stretch(PASSWORD, work))
    found = [uncover(covered, stretch(b"%d" % number, work)) for number in range(2000)]
    assert PLAIN not in found
    assert 0 < 2000 - found.count(None) < 40  # 8 are likely


@pytest.mark.parametrize("iterations", [1, 20, 10_000, 200_000, MOST_ITERATIONS])
def test_work_that_the_jdk_does_is_done(iterations: int) -> None:
    assert Cover(SCHEME, parameters(integer(iterations)), bytes(8)).work("it") == (bytes(8), iterations)


@pytest.mark.parametrize("iterations", [0, MOST_ITERATIONS + 1, 2**31 - 1])
def test_a_bomb_of_iterations_is_refused_and_says_so(iterations: int) -> None:
    with pytest.raises(
        BadFile, match=f"the key 'x' asks for {iterations:,} iterations; .* do 1 to 5,000,000"
    ):
        Cover(SCHEME, parameters(integer(iterations)), bytes(8)).work("the key 'x'")


@pytest.mark.parametrize(
    "covered",
    [
        Cover("PBEWithSHA1AndRC2_40", parameters(integer(1)), bytes(8)),
        Cover(SCHEME, parameters(integer(1)), b""),
        Cover(SCHEME, parameters(integer(1)), bytes(7)),
        Cover(SCHEME, parameters(integer(1), bytes(7)), bytes(8)),
        Cover(SCHEME, parameters(integer(1), b""), bytes(8)),
        Cover(SCHEME, b"", bytes(8)),
        Cover(SCHEME, parameters(b""), bytes(8)),
        *(Cover(SCHEME, parameters(integer(many)), bytes(8)) for many in (2**31, 2**64, 2**100_000)),
        Cover(SCHEME, parameters(element(INTEGER, b"\xff")), bytes(8)),
        Cover(SCHEME, parameters(element(INTEGER, b"")), bytes(8)),
        Cover(SCHEME, parameters(element(INTEGER, bytes(9) + b"\1")), bytes(8)),
        Cover(SCHEME, parameters(integer(1)) + b"\0", bytes(8)),
        Cover(SCHEME, parameters(integer(1))[:-1], bytes(8)),
    ],
)
def test_what_is_no_cover_of_this_kind_is_refused_by_the_name_of_the_key(covered: Cover) -> None:
    with pytest.raises(BadFile, match="the key 'x' "):
        covered.work("the key 'x'")


@pytest.mark.parametrize("text", ["pässwort", "naïve", "密码密码密码", "tab\t", "new\nline", "\x7f", "\x00"])
def test_a_key_has_a_password_in_printable_ascii(text: str) -> None:
    with pytest.raises(BadPassword, match="printable ASCII") as caught:
        password_bytes(Secret(text.encode()))
    assert text not in str(caught.value) + caught.value.advice
    assert password_bytes(Secret(b" ~azAZ09!")) == b" ~azAZ09!"
