"""The keys of a keystore that tapes are written with."""

from __future__ import annotations

import os

import pytest

from qekm.errors import BadArgument, BadFile, BadPassword, QekmError
from qekm.interchange.jceks import (
    Entry,
    ProtectedKey,
    SecretKey,
    TrustedCertificate,
    data_keys,
    on_tape,
    opens_one,
    protect,
    secret_keys,
)
from qekm.interchange.jceks.cover import Cover
from qekm.secret import Secret
from tests.qekm.interchange.jceks.making import secret

MATERIAL = os.urandom(32)


def entry(alias: str, algorithm: str = "AES", material: bytes = MATERIAL, password: str = "") -> ProtectedKey:
    key = SecretKey(alias, 0, algorithm, Secret(material))
    return protect(key, secret(password) if password else secret(), iterations=1)


def damaged(alias: str) -> ProtectedKey:
    """Return a key under a scheme that nobody knows."""
    return ProtectedKey(alias, 0, entry(alias).kind, Cover("rot13", b"", b""))


def test_keys_that_are_none_for_tapes_are_named_with_the_reason() -> None:
    good, short, mac = entry("good"), entry("short", material=bytes(16)), entry("mac", "HmacSHA256")
    stored = [damaged("bent"), good, short, mac, entry("another's", password="another horse")]
    told: list[int] = []
    keys, useless = data_keys(stored, secret(), told.append)
    assert [(key.alias, key.material.reveal()) for key in keys] == [("good", MATERIAL)]
    why: dict[str, type[QekmError]] = {each.alias: type(each.why) for each in useless}
    assert why == {"bent": BadFile, "short": BadArgument, "mac": BadArgument, "another's": BadPassword}
    assert sum(told) == len(stored)


def test_one_key_tells_whether_the_password_is_right() -> None:
    assert opens_one([damaged("bent"), entry("good")], secret())
    assert not opens_one([damaged("bent"), entry("good")], secret("another horse"))
    assert opens_one([damaged("bent")], secret())
    assert opens_one([], secret())


def test_certificates_and_key_pairs_are_no_secret_keys() -> None:
    key = entry("good")
    entries: list[Entry] = [TrustedCertificate("root", 0, b"der"), key]
    assert secret_keys(entries) == [key]


@pytest.mark.parametrize(
    ("java", "tape"),
    [
        ("key000000000000000a0b", "KEY000000000000000A0B"),
        ("KEY000000000000000A0B", "KEY000000000000000A0B"),
        ("a 1000000000000000001", "A 1000000000000000001"),
        ("archivekey1", "archivekey1"),
        ("key010000000000000001", "key010000000000000001"),  # no range of the original has such a key
        ("key00000000000000000g", "key00000000000000000g"),
    ],
)
def test_the_letters_of_a_range_are_restored_and_other_names_stay(java: str, tape: str) -> None:
    assert on_tape(java) == tape
