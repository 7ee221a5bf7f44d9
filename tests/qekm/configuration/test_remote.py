"""Which key manager a home without a store talks to, and as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.client import address_of, identity_of
from qekm.configuration.remote import Remote, read_remote, write_remote
from qekm.errors import BadConfiguration
from qekm.home import Home
from qekm.properties.client import CLIENT_PROPERTIES


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ClientKeyManagerConfig.properties"
    path.write_text(text, "iso-8859-1")
    return path


@pytest.mark.parametrize("remote", [Remote(), Remote("key-manager.example", 1443, "anna"), Remote("fe80::1")])
def test_what_is_written_reads_back_the_same(tmp_path: Path, remote: Remote) -> None:
    path = tmp_path / "ClientKeyManagerConfig.properties"
    write_remote(path, remote)
    assert read_remote(path) == remote
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_family_is_read_and_what_means_nothing_here_is_let_be(tmp_path: Path) -> None:
    text = (
        "# comment\nTransportListener.ssl.port=441\nTransportListener.ssl.host : 10.0.0.7\n"
        "TransportListener.ssl.keystore.password=changeME\nTransportListener.ssl.timeout=10\nmy.own=1\n"
    )
    assert read_remote(_file(tmp_path, text)) == Remote("10.0.0.7", 441, "administrator")
    assert read_remote(_file(tmp_path, "my.own=1")) == Remote("localhost", 443, "administrator")
    assert {name for name, item in CLIENT_PROPERTIES.items() if item.origin != "kept"} == {
        "TransportListener.ssl.host",
        "TransportListener.ssl.port",
        "identity",
    }


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("\nTransportListener.ssl.port=-1\n", "line 2: TransportListener.ssl.port must be", "2"),
        ("TransportListener.ssl.port=0", "TransportListener.ssl.port is 0", ""),
        ("TransportListener.ssl.port=x", "line 1: TransportListener.ssl.port must be", "1"),
        ("TransportListener.ssl.host=a b", "an address or a host name, not 'a b'", "1"),
        ("identity=../root", "the name of a file, without a directory", "1"),
        ("identity=", "text without control characters", "1"),
        ("identity=a\n\nidentity=b", "line 3: identity is set already in line 1", "3"),
        ("a=\\u12", "line 1: ", "1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, told: str, line: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        read_remote(_file(tmp_path, text))
    assert told in caught.value.message
    assert caught.value.details["line"] == line


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"cannot read .*ClientKeyManagerConfig"):
        read_remote(tmp_path / "ClientKeyManagerConfig.properties")


def test_a_home_without_a_store_talks_to_the_key_manager_that_it_names(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert (address_of(home), identity_of(home, None, {})) == ("localhost:3802", "administrator")
    write_remote(home.client_config, Remote("fe80::1", 1443, "anna"))
    assert home.is_client
    assert (address_of(home), identity_of(home, None, {})) == ("[fe80::1]:1443", "anna")
    assert address_of(home, "named:1") == "named:1"
    assert identity_of(home, "olga", {"QEKM_IDENTITY": "ute"}) == "olga"
    assert identity_of(home, None, {"QEKM_IDENTITY": "ute"}) == "ute"
    home.store_directory.mkdir()
    home.store.touch()
    assert not home.is_client
    assert (address_of(home), identity_of(home, None, {})) == ("localhost:3802", "administrator")
    with home.announced("server", "0", {"grpc": 4711}):
        assert address_of(home) == "localhost:4711"
