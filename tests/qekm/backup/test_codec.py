"""The format of a backup's file: three laws, every flip, every cut, chunks that were moved."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.backup.codec import TRAILER, Reader
from qekm.backup.cover import MAGIC, Cover
from qekm.backup.header import Header
from qekm.backup.members import NAMES, Sorter, head_of
from qekm.backup.stream import CHUNK, SEALED, Decryptor, Encryptor
from qekm.errors import BackupDamaged
from qekm.secret import Secret
from tests.qekm.backup.material import Maker

MAKER = Maker()
SMALL = (b"a store", b"some = settings\n", b"a key")
SIZES = [0, 1, CHUNK - 40, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5]


def members(*contents: bytes) -> dict[str, bytes]:
    """Return what reading must give."""
    return dict(zip(NAMES, contents, strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_reads_back_the_same(size: int) -> None:
    content = os.urandom(size)
    assert MAKER.read(MAKER.make(content, b"", b"x")) == members(content, b"", b"x")


@pytest.mark.parametrize("step", [1, 7, TRAILER, SEALED, SEALED + 1])
def test_byte_by_byte_is_as_good_as_all_at_once(step: int) -> None:
    size = 1_000 if step < 10 else 2 * CHUNK + 9
    contents = os.urandom(size), SMALL[1], SMALL[2]
    assert MAKER.read(MAKER.make(*contents), step) == members(*contents)


def test_every_flipped_bit_is_refused() -> None:
    whole, refused = MAKER.make(*SMALL), 0
    for place in range(8 * len(whole)):
        altered = bytearray(whole)
        altered[place // 8] ^= 1 << place % 8
        with pytest.raises(BackupDamaged):
            MAKER.read(bytes(altered))
        refused += 1
    print(f"{refused:,} of {8 * len(whole):,} flipped bits refused")
    assert refused == 8 * len(whole)


class Careless(Reader):
    """A build that forgets the tag of a chunk, the digest and the signature."""

    class decryptor(Decryptor):  # noqa: N801
        """Takes what the cipher gives."""

        def opened(self, cipher: AESGCM, nonce: bytes, chunk: bytes) -> bytes:
            counter = Cipher(algorithms.AES(self.key), modes.CTR(nonce + b"\0\0\0\2")).decryptor()
            return counter.update(chunk[:-16])

        def __init__(self, key: Secret, about: bytes) -> None:
            super().__init__(key, about)
            self.key = key.reveal()

    def close(self) -> bytes:
        """Return the last of the plaintext."""
        assert self._stream is not None
        return self._stream.close()


def test_a_reader_that_forgets_the_tag_would_be_caught() -> None:
    whole = MAKER.make(*SMALL)
    assert MAKER.read(whole, reader=Careless) == members(*SMALL)
    altered = bytearray(whole)
    altered[-TRAILER - 17] ^= 1
    assert MAKER.read(bytes(altered), reader=Careless) != members(*SMALL)


def test_every_shorter_and_longer_file_is_refused() -> None:
    whole = MAKER.make(*SMALL)
    for length in range(len(whole)):
        with pytest.raises(BackupDamaged):
            MAKER.read(whole[:length])
    with pytest.raises(BackupDamaged):
        MAKER.read(whole + b"\0")


def test_chunks_that_were_left_out_moved_repeated_or_added_are_found_without_the_trailer() -> None:
    key, about = Secret(os.urandom(32)), bytes(32)
    stream = Encryptor(key, about)
    sealed = stream.feed(os.urandom(3 * CHUNK)) + stream.close()
    chunks = [sealed[start : start + SEALED] for start in range(0, len(sealed), SEALED)]
    assert len(chunks) == 3
    other = Encryptor(Secret(os.urandom(32)), about)
    foreign = other.feed(os.urandom(CHUNK)) + other.close()
    first, second, last = chunks
    for order in (
        [second, last],
        [first, last],
        [first, second],
        [second, first, last],
        [first, first, second, last],
        [first, second, last, last],
        [first, second, last, last[:16]],
        [foreign, second, last],
        [],
    ):
        reader = Decryptor(key, about)
        with pytest.raises(BackupDamaged):
            reader.feed(b"".join(order))
            reader.close()


def test_an_empty_last_chunk_after_others_is_not_what_is_written() -> None:
    key = Secret(os.urandom(32))
    cipher = AESGCM(key.reveal())
    sealed = cipher.encrypt(bytes(12), bytes(CHUNK), b"") + cipher.encrypt(bytes(10) + b"\1\1", b"", b"")
    reader = Decryptor(key, b"")
    reader.feed(sealed)
    with pytest.raises(BackupDamaged, match="empty"):
        reader.close()


def test_a_backup_of_another_root_key_is_refused() -> None:
    with pytest.raises(BackupDamaged):
        Maker().read(MAKER.make(*SMALL))


def test_a_signature_of_another_key_is_refused() -> None:
    class Forger(Maker):
        @property
        def header(self) -> Header:
            return MAKER.header

    with pytest.raises(BackupDamaged, match="signature"):
        MAKER.read(Forger(ring=MAKER.ring).make(*SMALL))


def test_members_are_these_in_this_order_and_no_more() -> None:
    store, config, key = (head_of(name, 1) + b"x" for name in NAMES)
    for content in (
        config + store + key,
        store + key + config,
        store + config + key + b"x",
        store + config + key + key,
        store + config,
        store + config + key[:-1],
        head_of("qekm.dc", 1) + b"x",
        b"",
    ):
        sorter = Sorter()
        with pytest.raises(BackupDamaged):
            list(sorter.feed(content))
            sorter.close()


# The header and the cover.


def test_a_header_reads_back_the_same_and_names_its_file() -> None:
    header = MAKER.header
    assert Header.parse(header.serialize()) == header
    assert header.name == "qekm-00010203-e1-7.qbk"
    assert len(header.serialize()) < 700


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.replace(b'"epoch":1', b'"epoch":true'),
        lambda text: text.replace(b'"epoch":1', b'"epoch":1.0'),
        lambda text: text.replace(b'"epoch":1', b'"epoch":-1'),
        lambda text: text.replace(b'"epoch":1', b'"epoch":9223372036854775808'),
        lambda text: text.replace(b'"epoch":1', b'"epoch":1,"epoch":1'),
        lambda text: text.replace(b'"epoch":1', b'"epoch": 1'),
        lambda text: text.replace(b'"epoch":1,', b""),
        lambda text: text.replace(b'"epoch":1', b'"epoch":1,"extra":1'),
        lambda text: text.replace(b"0001", b"001"),
        lambda text: text.replace(b"0d0e", b"0D0E"),
        lambda text: text.replace(b"9.9.9", b"\\n"),
        lambda text: text.replace(b"9.9.9", b"9" * 65),
        lambda text: text + b" ",
        lambda text: b"[" * 4_000,
        lambda text: b"1" * 4_096,
        lambda text: b"",
        lambda text: b"{}",
        lambda text: b"\xff",
    ],
)
def test_a_header_in_any_other_form_is_refused(alter: object) -> None:
    text = MAKER.header.serialize()
    altered = alter(text)  # type: ignore[operator]
    assert altered != text
    with pytest.raises(BackupDamaged):
        Header.parse(altered)


def test_a_cover_says_as_soon_as_it_can_that_it_is_none() -> None:
    for start in (b"P", MAGIC[:-1] + b"X", MAGIC + b"\2", b"-----BEGIN"):
        with pytest.raises(BackupDamaged):
            Cover.parse(start)
    assert Cover.parse(b"") is None
    assert Cover.parse(MAGIC[:3]) is None
    with pytest.raises(BackupDamaged, match="too long"):
        Cover.parse(MAGIC + b"\1" + b"\xff" * 4)


def test_a_cover_holds_the_slots_and_is_about_all_of_them() -> None:
    parsed = Cover.parse(MAKER.make(*SMALL))
    assert parsed is not None
    cover, _ = parsed
    assert cover.slots == MAKER.slots
    assert cover.header == MAKER.header
    assert replace(cover, ways=cover.ways[:1]).about != cover.about
    assert replace(cover, header=replace(cover.header, epoch=2)).about != cover.about
    assert replace(cover, wrapped=b"x").about == cover.about
    twice = replace(cover, ways=(cover.ways[0], cover.ways[0]))
    with pytest.raises(BackupDamaged):
        Cover.parse(twice.serialize())
    with pytest.raises(BackupDamaged):
        Cover.parse(replace(cover, ways=()).serialize())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 900), st.integers(1, 100))
def test_whatever_the_bytes_only_our_own_error_is_raised(junk: bytes, place: int, step: int) -> None:
    whole = MAKER.make(*SMALL)
    for content in (junk, MAGIC + junk, whole[:place] + junk + whole[place + len(junk) :]):
        if content == whole:
            continue
        with pytest.raises(BackupDamaged):
            MAKER.read(content, step)
