"""A key file is private; a credential of systemd is guarded by its directory and an ACL instead."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest

from qekm.errors import BadConfiguration, BadFile, BadPassword
from qekm.sealing import KeyFileSealer, KeySealer, read_private
from qekm.secret import Secret

ROOT = bytes(range(32))


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    """Return a file as systemd passes it: 0400, in a directory of its own."""
    (tmp_path / "credentials").mkdir()
    path = tmp_path / "credentials" / "root.key"
    path.write_bytes(os.urandom(32))
    path.chmod(0o400)
    return path


def _opens(path: Path, credentials: Path | None) -> bool:
    slot = KeySealer(Secret(path.read_bytes())).seal(Secret(ROOT))
    return KeyFileSealer(path, credentials=credentials).unseal(slot).reveal() == ROOT


def _allow(path: Path, user: int) -> None:
    """Let one more user read a file: acl(5), in the form of the kernel (linux/posix_acl_xattr.h)."""
    nobody = 0xFFFFFFFF
    owner, named, group, mask, other = (
        (1, 4, nobody),
        (2, 4, user),
        (4, 0, nobody),
        (16, 4, nobody),
        (32, 0, nobody),
    )
    entries = b"".join(struct.pack("<HHI", *entry) for entry in (owner, named, group, mask, other))
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + entries)
    except OSError as error:
        pytest.skip(f"no ACLs in {path.parent}: {error.strerror}")


def test_a_credential_opens(credential: Path) -> None:
    assert _opens(credential, credential.parent)
    assert _opens(credential, None), "0400 is private anywhere"


def test_an_acl_shows_as_the_groups_right_and_is_allowed_to_a_credential(credential: Path) -> None:
    _allow(credential, 65_534)
    assert credential.stat().st_mode & 0o777 == 0o440
    assert _opens(credential, credential.parent)


@pytest.mark.parametrize("elsewhere", [None, "..", "deeper", "/"])
def test_the_groups_right_is_allowed_nowhere_else(credential: Path, elsewhere: str | None) -> None:
    credential.chmod(0o440)
    assert _opens(credential, credential.parent)
    with pytest.raises(BadConfiguration, match="can be read by others"):
        _opens(credential, None if elsewhere is None else credential.parent / elsewhere)


@pytest.mark.parametrize("mode", [0o444, 0o404, 0o460, 0o450, 0o600 | 0o004])
def test_no_other_right_of_others_is_allowed_to_a_credential(credential: Path, mode: int) -> None:
    credential.chmod(mode)
    with pytest.raises(BadConfiguration, match="can be read by others"):
        _opens(credential, credential.parent)


def test_a_link_in_the_credentials_is_no_credential(credential: Path, tmp_path: Path) -> None:
    link = credential.with_name("link")
    link.symlink_to(credential)
    with pytest.raises(BadConfiguration, match=re.escape(str(link))):
        _opens(link, credential.parent)


def test_what_a_client_presents_opens_like_the_file(credential: Path) -> None:
    content = Secret(credential.read_bytes())
    assert KeySealer(content).unseal(KeyFileSealer(credential).seal(Secret(ROOT))).reveal() == ROOT
    assert KeyFileSealer(credential).unseal(KeySealer(content).seal(Secret(ROOT))).reveal() == ROOT
    assert KeySealer.kind == KeyFileSealer.kind
    with pytest.raises(BadPassword, match="the key file does not open this store"):
        KeySealer(Secret(bytes(32))).unseal(KeySealer(content).seal(Secret(ROOT)))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_what_a_client_presents_has_32_bytes(length: int) -> None:
    with pytest.raises(BadFile, match="32 bytes"):
        KeySealer(Secret(bytes(length)))


def test_a_sealer_shows_nothing_of_the_key() -> None:
    sealer = KeySealer(Secret(b"Q" * 32))
    assert "QQ" not in repr(sealer) + str(vars(sealer))


def test_a_private_file_is_read_to_one_byte_more_than_it_may_have(tmp_path: Path) -> None:
    """So that a file that is too long can be told from one that is not."""
    path = tmp_path / "pin"
    path.write_bytes(b"123456")
    path.chmod(0o600)
    assert read_private(path, 4, title="PIN file", option="it") == b"12345"
    path.chmod(0o640)
    with pytest.raises(BadConfiguration, match="the PIN file") as refused:
        read_private(path, 4, title="PIN file", option="it")
    assert "chmod 600" in refused.value.advice
    with pytest.raises(BadConfiguration) as refused:
        read_private(tmp_path / "gone", 4, title="PIN file", option="keystore.x")
    assert refused.value.advice == "name it with keystore.x"
