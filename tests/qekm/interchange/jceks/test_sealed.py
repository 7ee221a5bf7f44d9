"""A secret key is taken from Java's own classes by their names, and from unknown ones by their shape."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadFile
from qekm.interchange.jceks import Kind, ProtectedKey, SecretKey, parse, unprotect
from qekm.interchange.jceks.cover import SCHEME, Cover
from qekm.interchange.jceks.cursor import Cursor
from qekm.interchange.jceks.sealed import Named, read_key, read_sealed, write_key, write_sealed
from qekm.secret import Secret
from tests.qekm.interchange.jceks.making import (
    ANNOTATED,
    END,
    NULL,
    STREAM,
    STRING,
    array,
    ibm_key,
    java_class,
    java_object,
    key_rep,
    sealed,
    secret,
    secret_entry,
    store,
    string,
)

KEY = os.urandom(32)
SPEC = {"algorithm": STRING, "key": "[B"}
IBM = "com.ibm.crypto.provider.AESSecretKey"


def opened(plain: bytes) -> SecretKey:
    """Put what was sealed through a whole store."""
    (entry,) = parse(store(secret_entry("ekm key", sealed(plain))), secret())
    assert isinstance(entry, ProtectedKey)
    assert entry.kind is Kind.SECRET
    found = unprotect(entry, secret())
    assert isinstance(found, SecretKey)
    return found


def spec(material: bytes, algorithm: str = "AES") -> bytes:
    kind = java_class("javax.crypto.spec.SecretKeySpec", SPEC)
    return STREAM + java_object(kind, string(algorithm), array(material))


def shaped(
    fields: dict[str, str], *values: bytes, name: str = IBM, flags: int = 2, parent: bytes = NULL
) -> bytes:
    return STREAM + java_object(java_class(name, fields, flags=flags, parent=parent), *values)


OWN_PARENT = java_class("com.ibm.crypto.provider.Parent", {"size": "I", "label": STRING})
SHAPES = {
    "one field": ibm_key(KEY),
    "an algorithm beside it": shaped(SPEC, string("AES"), array(KEY)),
    "an algorithm that is null": shaped(SPEC, NULL, array(KEY)),
    "numbers and texts beside it": shaped(
        {"n": "J", "k": "[B", "t": STRING}, bytes(8), array(KEY), string("x")
    ),
    "a class that writes more": shaped({"k": "[B"}, array(KEY), b"\x77\1\0", END, flags=ANNOTATED),
    "fields of an ancestor": shaped({"k": "[B"}, bytes(4), string("x"), array(KEY), parent=OWN_PARENT),
    "its ancestor has the key": shaped({}, array(KEY), parent=java_class("Parent", {"k": "[B"})),
    "an unused array": shaped({"a": "[B", "k": "[B"}, NULL, array(KEY)),
}


@pytest.mark.parametrize("plain", SHAPES.values(), ids=SHAPES.keys())
def test_a_key_of_an_unknown_class_is_its_only_array_of_bytes(plain: bytes) -> None:
    found = opened(plain)
    assert found.material.reveal() == KEY
    assert found.algorithm == "AES"
    assert found.is_data_key


@pytest.mark.parametrize(
    ("name", "length", "algorithm"),
    [
        (IBM, 16, "AES"),
        (IBM, 24, "AES"),
        ("com.ibm.crypto.provider.DESedeKey", 24, "DESede"),
        ("org.example.RC4SecretKey", 16, "RC4"),
        ("AESKey", 32, "AES"),
    ],
)
def test_the_name_of_a_class_tells_the_algorithm(name: str, length: int, algorithm: str) -> None:
    found = opened(ibm_key(bytes(length), name))
    assert (found.algorithm, len(found.material.reveal())) == (algorithm, length)
    assert found.is_data_key == (algorithm == "AES" and length == 32)


NO_KEYS = {
    "of a length that AES has not": ibm_key(bytes(31)),
    "empty": ibm_key(b""),
    "two arrays": shaped({"iv": "[B", "k": "[B"}, array(bytes(16)), array(KEY)),
    "no array": shaped({"a": STRING}, string("AES")),
    "no fields": shaped({}),
    "no algorithm": ibm_key(KEY, "com.example.Thing"),
    "an algorithm that is no name": shaped(SPEC, string("AES\x1b[2J"), array(KEY)),
    "an endless algorithm": shaped(SPEC, string("A" * 65), array(KEY)),
    "an algorithm of bytes": shaped({"algorithm": "[B"}, array(KEY)),
    "a spec without a key": STREAM
    + java_object(java_class("javax.crypto.spec.SecretKeySpec", {"algorithm": STRING}), string("AES")),
    "a spec with a key that is null": STREAM
    + java_object(java_class("javax.crypto.spec.SecretKeySpec", SPEC), string("AES"), NULL),
    "a private key": key_rep("RSA", bytes(600), "PKCS#8", "PRIVATE"),
    "bytes behind it": spec(KEY) + b"\0",
}


@pytest.mark.parametrize("plain", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_where_no_key_can_be_seen_none_is_taken(plain: bytes) -> None:
    with pytest.raises(BadFile, match="the key 'ekm key'"):
        opened(plain)


def test_java_s_own_classes_hold_keys_of_any_algorithm_and_length() -> None:
    for algorithm, length in (
        ("HmacSHA512", 64),
        ("DESede", 24),
        ("AES", 16),
        ("1.2.840.113549", 5),
        ("AES", 32),
    ):
        material = os.urandom(length)
        for plain in (spec(material, algorithm), key_rep(algorithm, material)):
            found = opened(plain)
            assert (found.algorithm, found.material.reveal()) == (algorithm, material)
            assert found.is_data_key == (algorithm == "AES" and length == 32)


@given(
    st.from_regex(r"[\w./-]{1,64}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    st.binary(max_size=99),
)
def test_a_key_that_is_written_reads_back_the_same(algorithm: str, material: bytes) -> None:
    found = read_key(write_key(Named(algorithm, Secret(material))), "it")
    assert (found.algorithm, found.material.reveal()) == (algorithm, material)


@given(st.binary(max_size=99), st.binary(max_size=99))
def test_a_cover_that_is_written_reads_back_the_same(parameters: bytes, content: bytes) -> None:
    cursor = Cursor(write_sealed(Cover(SCHEME, parameters, content)), "it")
    assert read_sealed(cursor) == Cover(SCHEME, parameters, content)
    cursor.finish()


def test_only_a_sealed_object_covers_a_key() -> None:
    fields = {"encodedParams": "[B", "encryptedContent": "[B", "paramsAlg": STRING, "sealAlg": STRING}
    values = array(b"p"), array(b"c"), string(SCHEME), string(SCHEME)
    parent = java_class("javax.crypto.SealedObject", fields)
    kin = java_class("com.ibm.crypto.provider.SealedObjectForKeyProtector", {}, parent=parent)
    assert read_sealed(Cursor(STREAM + java_object(kin, *values), "it")) == Cover(SCHEME, b"p", b"c")
    for wrong in (
        java_object(java_class("javax.crypto.Other", fields), *values),
        java_object(parent, values[0], NULL, *values[2:]),
        java_object(parent, *values[:3], NULL),
        java_object(parent, string("p"), *values[1:]),
    ):
        with pytest.raises(BadFile, match="not sealed as Java seals keys"):
            read_sealed(Cursor(STREAM + wrong, "it"))


def test_a_key_under_another_scheme_is_named_and_the_rest_of_the_store_is_read() -> None:
    entries = parse(
        store(
            secret_entry("odd", sealed(spec(KEY), scheme="PBEWithSHA1AndAES")),
            secret_entry("even", sealed(spec(KEY), scheme="pbewithmd5andtripledes")),
        ),
        secret(),
    )
    odd, even = entries
    assert isinstance(odd, ProtectedKey)
    assert isinstance(even, ProtectedKey)
    with pytest.raises(BadFile, match="'odd' is protected by 'PBEWithSHA1AndAES'") as caught:
        unprotect(odd, secret())
    assert "keytool" in caught.value.advice
    assert unprotect(even, secret()).alias == "even"


@pytest.mark.parametrize("plain", [spec(KEY), ibm_key(KEY)])
def test_every_flipped_bit_of_a_key_is_refused_or_gives_a_key(plain: bytes) -> None:
    for bit in range(8 * len(plain)):
        flipped = bytearray(plain)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            read_key(bytes(flipped), "it")
        except BadFile:
            continue
