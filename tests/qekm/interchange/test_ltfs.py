"""Key lists of LTFS: what it reads is written and read, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp.names import alias_to_dki
from qekm.errors import BadArgument, BadFile
from qekm.interchange.ltfs import MAX_FILE, TapeKey, parse, serialize
from qekm.interchange.parcel import MAX_KEYS
from qekm.secret import Secret

MATERIAL = bytes(range(32))
DKI = alias_to_dki("QKM0000000000000000AB")
LIST = b"DK=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nDKi=QKM0000000000000000AB\n"
DK_LINE, DKI_LINE = LIST.splitlines(keepends=True)


def told(keys: tuple[TapeKey, ...]) -> list[tuple[bytes, bytes]]:
    return [(key.dki, key.material.reveal()) for key in keys]


def test_a_key_is_two_lines_as_ltfs_documents_them() -> None:
    assert serialize([TapeKey(DKI, Secret(MATERIAL))]) == LIST
    assert told(parse(LIST)) == [(DKI, MATERIAL)]


def test_a_short_alias_is_written_with_the_zeros_of_its_dki() -> None:
    written = serialize([TapeKey(alias_to_dki("ABCD"), Secret(MATERIAL))])
    assert written.endswith(b"DKi=ABC440000000000000000\n")
    assert parse(written)[0].dki == b"ABCD" + bytes(8)


names = st.builds(
    bytes.__add__,
    st.text("".join(map(chr, range(32, 127))), min_size=3, max_size=3).map(str.encode),
    st.binary(min_size=9, max_size=9),
)


@given(st.dictionaries(names, st.binary(min_size=32, max_size=32), max_size=10))
def test_what_is_written_is_read_the_same(keys: dict[bytes, bytes]) -> None:
    data = serialize(TapeKey(dki, Secret(material)) for dki, material in keys.items())
    assert told(parse(data)) == list(keys.items())


@pytest.mark.parametrize(
    "data",
    [LIST[:-1], b"\n\n" + LIST + b"\n", DK_LINE + b"\n" + DKI_LINE, LIST.replace(b"AB\n", b"ab\n")],
    ids=["no last line end", "empty lines", "an empty line within", "small hex digits"],
)
def test_what_ltfs_also_takes_is_read(data: bytes) -> None:
    assert told(parse(data)) == [(DKI, MATERIAL)]


def test_a_list_without_keys_is_read() -> None:
    assert parse(b"") == parse(b"\n\n") == ()


WRONG = {
    "CRLF": LIST.replace(b"\n", b"\r\n"),
    "a comment": b"# keys\n" + LIST,
    "two comments": b"# keys\n# of ours\n" + LIST,
    "another order": DKI_LINE + DK_LINE,
    "half": DK_LINE,
    "a key without a name": LIST + DK_LINE,
    "a space after": DK_LINE.replace(b"\n", b" \n") + DKI_LINE,
    "a space before": b" " + LIST,
    "only a space": LIST + b" \n",
    "31 bytes": b"DK=" + base64.b64encode(bytes(31)) + b"\n" + DKI_LINE,
    "33 bytes": b"DK=" + base64.b64encode(bytes(33)) + b"\n" + DKI_LINE,
    "bits beyond the key": LIST.replace(b"h8=", b"h9="),
    "URL-safe base64": LIST.replace(b"AAEC", b"A-_C"),
    "17 hex digits": LIST.replace(b"AB\n", b"A\n"),
    "no hex digit": LIST.replace(b"AB\n", b"AG\n"),
    "a prefix that cannot be printed": LIST.replace(b"DKi=QKM", b"DKi=Q\tM"),
    "another tag": LIST.replace(b"DKi=", b"Dki="),
    "the same DKi twice": LIST + LIST.replace(b"AAEC", b"AAED").replace(b"AB\n", b"ab\n"),
    "NUL": LIST + b"\0\n\0\n",
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_what_ltfs_does_not_take_or_takes_for_another_key_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile, match="line") as refused:
        parse(data)
    assert "AAEC" not in str(refused.value)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_refused_with_an_error_of_ours(data: bytes) -> None:
    if data.strip(b"\n"):
        with pytest.raises(BadFile):
            parse(data)


def test_100_000_keys_fit_and_a_larger_file_is_not_read() -> None:
    assert MAX_KEYS * len(LIST) <= MAX_FILE
    with pytest.raises(BadFile, match="the most is"):
        parse(b"\n" * (MAX_FILE + 1))


@pytest.mark.parametrize(
    ("dki", "material"),
    [(DKI[:11], MATERIAL), (DKI + b"x", MATERIAL), (b"\0" + DKI[1:], MATERIAL), (DKI, MATERIAL[1:])],
)
def test_what_ltfs_cannot_take_is_not_written(dki: bytes, material: bytes) -> None:
    with pytest.raises(BadArgument):
        serialize([TapeKey(dki, Secret(material))])


@pytest.mark.parametrize(
    ("dki", "alias"),
    [
        (bytes.fromhex("4b4559000000000000000a0b"), "KEY000000000000000A0B"),
        (b"archivekey1\0", "archivekey1"),
        (b"ABC\1" + bytes(8), "ABC010000000000000000"),
    ],
)
def test_a_key_has_the_alias_of_its_dki_or_the_text_of_one_that_is_no_aliass(dki: bytes, alias: str) -> None:
    (key,) = parse(serialize([TapeKey(dki, Secret(MATERIAL))]))
    assert key.alias == alias
