"""Identities as certificates spell them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadCertificate
from qekm.model import Role
from qekm.subject import Subject, check_hosts, check_name, subject_of
from tests.fakes.pki import Pki

NAMES = st.text(min_size=1, max_size=64).filter(
    lambda name: name.isprintable() and "/" not in name and name == name.strip()
)


@given(NAMES, st.sampled_from(Role), st.binary(min_size=16, max_size=16))
def test_an_identity_is_one_ascii_uri(name: str, role: Role, estate: bytes) -> None:
    uri = Subject(estate, role, check_name(name)).uri
    assert uri.isascii() and uri.startswith(f"qekm://{estate.hex()}/{role.name.lower()}/")
    assert uri.count("/") == 4 and not set(uri) & set(" ?#")


@pytest.mark.parametrize("name", ["a", "alice", "x" * 64, "Großmutter Äö", "a b", "%2F", "..", "日本"])
def test_what_is_written_is_what_is_read(tmp_path: Path, name: str) -> None:
    from cryptography import x509

    pki = Pki(tmp_path / "home")
    hosts = ("drives.example", "192.0.2.7", "2001:db8::1")
    leaf = pki.issuer.issue(
        Subject(pki.estate, Role.GATEWAY, name, hosts), pki.signer.public_key(), 10**15, 1, bytes
    )
    assert isinstance(leaf, x509.Certificate)
    assert subject_of(leaf) == Subject(pki.estate, Role.GATEWAY, name, hosts)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a/b", "a\nb", "a\0", "\u202eevil", " a", "a ", "tab\there", "\u2028"]
)
def test_a_name_that_could_confuse_is_refused(name: str) -> None:
    with pytest.raises(BadArgument) as caught:
        check_name(name)
    assert caught.value.details == {"field": "name"}


def test_hosts_are_written_in_one_spelling_each_once() -> None:
    given_hosts = ["LOCALHOST", "localhost", "::0001", "127.0.0.1", "a-b.example"]
    assert check_hosts(Role.SERVER, given_hosts) == ("localhost", "::1", "127.0.0.1", "a-b.example")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "*.example",
        "a..b",
        "-a",
        "a-",
        "a" * 64,
        "x." * 127 + "xx",
        "a/b",
        "a\n",
        "http://a",
        "ü.example",
    ],
)
def test_a_host_that_is_none_is_named(host: str) -> None:
    with pytest.raises(BadArgument) as caught:
        check_hosts(Role.GATEWAY, ["localhost", host])
    assert caught.value.details == {"field": "hosts"}


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.OPERATOR, Role.AUDITOR, Role.CUSTODIAN])
def test_people_have_no_hosts(role: Role) -> None:
    with pytest.raises(BadArgument):
        check_hosts(role, ["localhost"])
    assert check_hosts(role, []) == ()


def test_there_is_an_end_to_hosts() -> None:
    with pytest.raises(BadArgument):
        check_hosts(Role.SERVER, [f"h{number}" for number in range(65)])


def test_an_authority_is_no_identity(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate):
        subject_of(Pki(tmp_path / "home").issuer.certificate)
