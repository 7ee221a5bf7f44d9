"""The kinds of files that keys come in: told apart by their bytes."""

from __future__ import annotations

import contextlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadFile
from qekm.interchange import jceks, stenc
from qekm.secret import Secret
from qekm_cli.keyfiles import FileKey, detect, read_ltfs, read_stenc, write_ltfs, write_stenc

KEY = FileKey("KEY000000000000000A0B", Secret(bytes(range(32))), b"KEY" + bytes.fromhex("000000000000000a0b"))


def test_each_kind_of_file_is_known_by_its_first_bytes() -> None:
    store = jceks.write([], Secret(secrets.token_hex(8).encode()))
    assert detect(store) == "jceks"
    assert detect(b"\xfe\xed\xfe\xed\0\0\0\2") == "jceks"  # JKS: the reader says what to do
    assert detect(write_ltfs([KEY])) == "ltfs"
    assert detect(b"\n\n" + write_ltfs([KEY])) == "ltfs"
    assert detect(write_stenc([KEY])) == "stenc"
    assert detect(b"0" * 64) == "stenc"
    assert detect(bytes.fromhex("308209c2060b2a864886f70d0109100117")) == "cms"


@pytest.mark.parametrize("content", [b"", b"0" * 63, b"0" * 65, b"PK\3\4", b"dk=", b"\x30\x10", b"\xce\xce"])
def test_anything_else_is_refused_and_the_kinds_are_named(content: bytes) -> None:
    with pytest.raises(BadFile, match=r"CMS.*JCEKS.*LTFS.*stenc"):
        detect(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_kind_or_bad(content: bytes) -> None:
    with contextlib.suppress(BadFile):
        assert detect(content) in ("cms", "jceks", "ltfs", "stenc")


def test_what_is_written_reads_back_the_same() -> None:
    for write, read in ((write_ltfs, read_ltfs), (write_stenc, read_stenc)):
        (key,) = read(write([KEY]))
        assert (key.alias, key.material.reveal()) == (KEY.alias, KEY.material.reveal())


def test_a_file_of_stenc_has_one_key() -> None:
    for keys in ([], [KEY, KEY]):
        with pytest.raises(BadArgument, match="one key"):
            write_stenc(keys)
    with pytest.raises(BadFile):
        read_stenc(write_stenc([KEY])[:-1] + b"x" * stenc.MAX_DESCRIPTION)
