"""A keystore reads back as it was written, and nothing else than what was written is ever read."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadFile, BadPassword, TooMany
from qekm.interchange.jceks import (
    Entry,
    Kind,
    PrivateKey,
    ProtectedKey,
    SecretKey,
    TrustedCertificate,
    parse,
    protect,
    serialize,
    unprotect,
)
from qekm.interchange.jceks.container import MAX_FILE
from qekm.interchange.jceks.cover import SCHEME, Cover
from qekm.interchange.jceks.cursor import sized
from qekm.interchange.jceks.privatekey import write_private
from qekm.secret import Secret
from tests.qekm.interchange.jceks.making import (
    MAGIC,
    certificate_entry,
    ibm_key,
    sealed,
    secret,
    secret_entry,
    signed,
    store,
    utf,
)

PRIVATE = b"\x30\x0f\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x03key"  # the least that PKCS #8 is
KEYS = (
    SecretKey("key1", 1_700_000_000_000, "AES", Secret(os.urandom(32))),
    PrivateKey("pair", -1, Secret(PRIVATE), (b"leaf", b"")),
)


@pytest.fixture(scope="module")
def whole() -> bytes:
    protected = [protect(key, secret(), iterations=1) for key in KEYS]
    return serialize([*protected, TrustedCertificate("root", 0, b"a certificate")], secret())


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


ALIASES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(str.lower)
TIMES = st.integers(-(2**63), 2**63 - 1)
COVERS = st.builds(Cover, st.just(SCHEME), st.just(b"\x30\0"), st.binary(max_size=40))
CHAINS = st.lists(st.binary(max_size=9), max_size=3).map(tuple)
ENTRIES = st.one_of(
    st.builds(ProtectedKey, ALIASES, TIMES, st.just(Kind.SECRET), COVERS),
    st.builds(ProtectedKey, ALIASES, TIMES, st.just(Kind.PRIVATE), COVERS, CHAINS),
    st.builds(TrustedCertificate, ALIASES, TIMES, st.binary(max_size=9)),
)


@given(
    st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.alias.lower()),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=20),
)
def test_what_is_written_reads_back_the_same(entries: list[Entry], password: str) -> None:
    data = serialize(entries, secret(password))
    assert parse(data, secret(password)) == tuple(entries)
    assert serialize(parse(data, secret(password)), secret(password)) == data


def test_a_store_made_by_hand_reads_as_it_was_made() -> None:
    data = store(secret_entry("Key A", sealed(ibm_key(bytes(32)))), certificate_entry("root", b"der"))
    key, root = parse(data, secret())
    assert isinstance(key, ProtectedKey)
    assert (key.alias, key.kind, key.created_ms) == ("Key A", Kind.SECRET, 0)
    assert root == TrustedCertificate("root", 0, b"der")
    assert parse(store(), secret()) == ()


def test_the_first_version_has_no_types_of_certificates(whole: bytes) -> None:
    data = store(certificate_entry("root", b"der", kind=None), version=1)
    assert parse(data, secret()) == (TrustedCertificate("root", 0, b"der"),)
    as_first = signed(whole[:7] + b"\1" + whole[8:-20].replace(utf("X.509"), b""))
    assert parse(as_first, secret()) == parse(whole, secret())


def test_a_wrong_password_is_told_from_a_file_cut_short(whole: bytes) -> None:
    for password in ("wrong horse", "", "Correct horse", "correct horse ", "Ünicode", "密码密码"):
        with pytest.raises(BadPassword, match="does not open the keystore") as caught:
            parse(whole, secret(password))
        assert "damage looks the same" in caught.value.advice
    for length in range(len(whole)):
        with pytest.raises(BadFile):
            parse(whole[:length], secret())
    with pytest.raises(BadFile, match="1 bytes too many"):
        parse(whole + b"\0", secret())
    with pytest.raises(BadPassword, match="UTF-8"):
        parse(whole, Secret(b"\xff\xfe"))


@pytest.mark.parametrize("password", ["pässwort", "密码密码密码", "😀😀😀", "\0\0\0\0\0\0"])
def test_a_store_may_have_a_password_of_any_characters(password: str) -> None:
    entry = protect(KEYS[0], secret(), iterations=1)
    (found,) = parse(serialize([entry], secret(password)), secret(password))
    assert found == entry
    with pytest.raises(BadPassword):
        parse(serialize([entry], secret(password)), secret(password + "x"))


def test_no_flipped_bit_goes_unnoticed(whole: bytes) -> None:
    assert len(parse(whole, secret())) == 3
    for flipped in flips(whole):
        with pytest.raises((BadFile, BadPassword)):
            parse(flipped, secret())


def test_whoever_knows_the_password_can_raise_only_our_own_errors(whole: bytes) -> None:
    body, fell, passed = whole[:-20], 0, 0
    for flipped in flips(body):
        try:
            for entry in parse(signed(flipped), secret()):
                if isinstance(entry, ProtectedKey) and entry.work().iterations < 100:
                    unprotect(entry, secret())
            passed += 1
        except (BadFile, BadPassword):
            fell += 1
    assert fell > 1000
    assert passed > 1000  # names, times, certificates: or the digest was not put right


@settings(max_examples=120)
@given(st.data())
def test_whatever_is_changed_only_our_own_errors_are_raised(whole: bytes, data: st.DataObject) -> None:
    body = bytearray(whole[:-20])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        parse(signed(bytes(body)), secret())
    except (BadFile, BadPassword):
        return


MANY = b"\xff\xff\xff\xff"
HEAD = MAGIC + b"\0\0\0\2\0\0\0\1"
CERTIFICATE_HEAD = HEAD + b"\0\0\0\2" + utf("a") + bytes(8)
PAIR_HEAD = HEAD + b"\0\0\0\1" + utf("a") + bytes(8)
PAIR = PAIR_HEAD + sized(write_private(Cover(SCHEME, b"", b"")))
LINK = utf("X.509") + bytes(4)
BOMBS = {
    "4 thousand million entries": (MAGIC + b"\0\0\0\2" + MANY, "claims 4,294,967,295 parts"),
    "more entries than there is room for": (store(certificate_entry("a", b"x"), count=3), "claims 3 parts"),
    "an entry too few": (store(certificate_entry("a", b"x" * 40), count=2), "unknown kind|needs"),
    "an entry too many": (
        store(*(certificate_entry(name, b"x") for name in "ab"), count=1),
        "bytes too many",
    ),
    "over 16,384 entries": (MAGIC + b"\0\0\0\2" + (16_385).to_bytes(4) + bytes(500_000), "claims 16,385"),
    "a certificate of 4 GiB": (signed(CERTIFICATE_HEAD + utf("X.509") + MANY), "needs 4,294,967,295 more"),
    "a private key of 4 GiB": (signed(PAIR_HEAD + MANY), "needs 4,294,967,295 more"),
    "a chain without an end": (signed(PAIR + MANY), "claims 4,294,967,295"),
    "a chain of 65": (signed(PAIR + b"\0\0\0\x41" + LINK * 65), "claims 65 parts"),
    "an alias of 64 KiB": (signed(HEAD + b"\0\0\0\2\xff\xffabc"), "needs 65,535 more bytes"),
    "an alias that is no text": (signed(HEAD + b"\0\0\0\2\0\2\xff\xff" + bytes(40)), "not in Java's UTF-8"),
    "an unknown kind of entry": (signed(HEAD + b"\0\0\0\4" + utf("a") + bytes(40)), "unknown kind 4"),
    "an unknown kind of certificate": (store(certificate_entry("a", b"x", "PGP")), "unknown kind 'PGP'"),
    "version 3": (store(version=3), "version 3;"),
    "version 0": (store(version=0), "version 0;"),
    "an alias twice": (store(*(certificate_entry("a", value) for value in (b"x", b"y"))), "two entries"),
    "another object": (store(secret_entry("a", ibm_key(bytes(32)))), "not sealed"),
    "nothing": (b"", "not a JCEKS keystore"),
    "a head alone": (HEAD, "claims 1 parts"),
    "text": (b"not a keystore at all", "not a JCEKS keystore"),
}


def test_the_bombs_would_be_stores_but_for_one_thing() -> None:
    (pair,) = parse(signed(PAIR + b"\0\0\0\x40" + LINK * 64), secret())
    assert isinstance(pair, ProtectedKey)
    assert len(pair.chain) == 64
    assert parse(signed(CERTIFICATE_HEAD + LINK), secret()) == (TrustedCertificate("a", 0, b""),)


@pytest.mark.parametrize(("data", "words"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_little_time_and_memory(data: bytes, words: str) -> None:
    tracemalloc.start()
    begin = time.thread_time()
    try:
        with pytest.raises(BadFile, match=words):
            parse(data, secret())
        assert time.thread_time() - begin < 3
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_other_files_are_named_and_the_way_out_with_them() -> None:
    for magic, kind in ((b"\xfe\xed\xfe\xed", "JKS"), (b"\x30\x82", "PKCS #12")):
        with pytest.raises(BadFile, match=f"looks like {kind}") as caught:
            parse(magic + bytes(100), secret())
        assert "keytool -importkeystore" in caught.value.advice
    with pytest.raises(BadFile, match="over 8 MiB"):
        parse(MAGIC + bytes(MAX_FILE), secret())


def test_aliases_are_written_as_java_looks_for_them() -> None:
    entry = TrustedCertificate("Key ÄΣ İ", 0, b"der")
    (found,) = parse(serialize([entry], secret()), secret())
    assert found.alias == "Key ÄΣ İ".lower()
    with pytest.raises(BadArgument, match="more than their case"):
        serialize([TrustedCertificate("KEY", 0, b"a"), TrustedCertificate("key", 0, b"b")], secret())


@pytest.mark.parametrize("alias", ["x" * 65_536, "密" * 22_000, "half a \ud83d"])
def test_an_alias_that_does_not_fit_is_refused(alias: str) -> None:
    with pytest.raises(BadArgument, match="too long, or no text"):
        serialize([TrustedCertificate(alias, 0, b"")], secret())


def test_no_store_is_written_that_would_not_be_read() -> None:
    root = TrustedCertificate("root", 0, b"der")
    with pytest.raises(TooMany, match="16,384"):
        serialize([root] * 16_385, secret())


def test_no_store_is_written_that_keytool_would_not_open() -> None:
    for password in ("", "short", "😀😀"):
        with pytest.raises(BadPassword, match="at least 6"):
            serialize([], secret(password))
    assert parse(serialize([], secret("longer")), secret("longer")) == ()
