"""A key comes out from under its cover with its own password only, and shows nothing on the way."""

from __future__ import annotations

import os
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadFile, BadPassword
from qekm.interchange.der import INTEGER, OCTETS, SEQUENCE, element, integer
from qekm.interchange.jceks import Key, Kind, PrivateKey, ProtectedKey, SecretKey, protect, unprotect
from qekm.interchange.jceks.cover import SCHEME, Cover, cover, stretch
from qekm.interchange.jceks.privatekey import read_private, write_private
from qekm.secret import Secret
from tests.qekm.interchange.jceks.making import PASSWORD, WORK, secret

MATERIAL = os.urandom(32)
AES = SecretKey("key1", 1_700_000_000_123, "AES", Secret(MATERIAL))


def pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


ED25519 = pkcs8(ed25519.Ed25519PrivateKey.generate())
PAIR = PrivateKey("pair", -1, Secret(ED25519), (b"leaf", b"root"))


def covered(plain: bytes, kind: Kind) -> ProtectedKey:
    return ProtectedKey("key1", 0, kind, cover(plain, WORK, stretch(PASSWORD.encode(), WORK)))


def bytes_of(key: Key) -> bytes:
    return key.material.reveal() if isinstance(key, SecretKey) else key.pkcs8.reveal()


@given(
    st.text("".join(map(chr, range(0x20, 0x7F))), max_size=50),
    st.integers(1, 20),
    st.binary(min_size=8, max_size=8),
    st.sampled_from([AES, PAIR]),
)
def test_what_is_protected_comes_back(password: str, iterations: int, salt: bytes, key: Key) -> None:
    entry = protect(key, secret(password), iterations=iterations, random_bytes=lambda _: salt)
    assert entry.work() == (salt, iterations)
    found = unprotect(entry, secret(password))
    assert type(found) is type(key)
    assert bytes_of(found) == bytes_of(key)
    assert (found.alias, found.created_ms) == (key.alias, key.created_ms)
    if isinstance(key, PrivateKey):
        assert isinstance(found, PrivateKey)
        assert found.chain == key.chain


def test_a_salt_is_new_for_every_key() -> None:
    assert len({protect(AES, secret(), iterations=1).work().salt for _ in range(50)}) == 50


@pytest.mark.parametrize("key", [AES, PAIR])
def test_a_wrong_password_never_gives_a_key(key: Key) -> None:
    entry = protect(key, secret(), iterations=1)
    for number in range(1500):  # of 256, one is padded right by chance
        with pytest.raises(BadPassword, match=f"the password does not open the key '{key.alias}'") as caught:
            unprotect(entry, secret(f"password {number}"))
        assert "a password of its own" in caught.value.advice


def test_a_password_that_java_would_not_take_is_refused_before_any_work() -> None:
    entry = protect(AES, secret())
    with pytest.raises(BadPassword, match="ASCII"):
        unprotect(entry, secret("naïve password"))
    with pytest.raises(BadPassword, match="ASCII"):
        protect(AES, secret("naïve password"))


@pytest.mark.parametrize("iterations", [0, -1, 5_000_001, 10**30])
def test_no_key_is_written_that_java_would_not_read(iterations: int) -> None:
    with pytest.raises(BadArgument, match="1 to 5,000,000"):
        protect(AES, secret(), iterations=iterations)


def test_private_keys_of_every_kind_come_back() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        entry = protect(PrivateKey("it", 0, Secret(pkcs8(key)), ()), secret(), iterations=1)
        assert read_private(write_private(entry.cover)) == entry.cover
        assert bytes_of(unprotect(entry, secret())) == pkcs8(key)


@pytest.mark.parametrize(
    "plain",
    [b"", b"\x30\x00", ED25519[:-1], ED25519 + b"\0", element(SEQUENCE, integer(0)), b"\xac\xed\0\5"],
    ids=range(6),
)
def test_what_is_no_private_key_means_that_the_password_is_wrong(plain: bytes) -> None:
    with pytest.raises(BadPassword):
        unprotect(covered(plain, Kind.PRIVATE), secret())


def test_a_stream_that_goes_wrong_after_its_beginning_means_damage() -> None:
    with pytest.raises(BadFile, match="the key 'key1'"):
        unprotect(covered(b"\xac\xed\0\5\x73", Kind.SECRET), secret())
    with pytest.raises(BadPassword):
        unprotect(covered(b"\xac\xed\0\4\x73", Kind.SECRET), secret())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x80\0\0",
        element(SEQUENCE),
        element(SEQUENCE, element(SEQUENCE), element(OCTETS, bytes(8))),
        element(SEQUENCE, element(SEQUENCE, element(INTEGER, b"\1")), element(OCTETS, bytes(8))),
        write_private(Cover(SCHEME, b"", bytes(8))) + b"\0",
        b"\x30\x84\xff\xff\xff\xff",
    ],
)
def test_what_is_no_encrypted_private_key_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile):
        read_private(data)


def test_a_private_key_under_another_scheme_is_named() -> None:
    written = write_private(protect(PAIR, secret(), iterations=1).cover)
    other = written.replace(bytes.fromhex("2b060104012a021301"), bytes.fromhex("2b060104012a021101"))
    with pytest.raises(BadFile, match="protected by 'the OID 2b060104012a021101'"):
        read_private(other).work("the key 'pair'")


@given(st.sampled_from([AES, PAIR]), st.data())
def test_an_altered_cover_raises_only_our_own_errors(key: Key, data: st.DataObject) -> None:
    entry = protect(key, secret(), iterations=1, random_bytes=lambda _: WORK.salt)
    content = bytearray(entry.cover.content)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    altered = ProtectedKey("it", 0, entry.kind, Cover(SCHEME, entry.cover.parameters, bytes(content)))
    try:
        unprotect(altered, secret())
    except (BadFile, BadPassword):
        return


def test_nothing_of_a_key_or_its_cover_is_printed() -> None:
    entry = protect(AES, secret(), iterations=1)
    shown = " ".join(map(repr, (AES, PAIR, entry, unprotect(entry, secret()))))
    assert "key1" in shown
    assert not re.search(r"\\x|b'|bytearray", shown)
