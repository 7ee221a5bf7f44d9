"""A cartridge file: what is written is read back, and only with its key."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from qekm.dkp.names import alias_to_dki
from qekm.dkp.pages import akad_of, encryption_status
from qekm_gateway.simulator.cartridge import Cartridge, create_cartridge, load_cartridge
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.sense import CheckCondition

DATA = bytes(range(256)) * 40
BLOCK = 1000


def a_key(number: int = 1, modes: tuple[int, int] = (2, 3)) -> InstalledKey:
    """Make a key that is the same whenever its number is."""
    alias = f"QKM00ABCDEF0123{number:06X}"
    return InstalledKey(alias, alias_to_dki(alias), bytes([number]) * 32, *modes)


@pytest.fixture
def blank(tmp_path: Path) -> Cartridge:
    """Make a blank cartridge."""
    return create_cartridge(tmp_path / "tape", "E01001L4")


def written(cartridge: Cartridge, key: InstalledKey | None, data: bytes = DATA) -> Cartridge:
    """Record data in small blocks and load the cartridge anew."""
    cartridge.write(io.BytesIO(data), key, os.urandom, BLOCK)
    return load_cartridge(cartridge.path)


def condition(cartridge: Cartridge, key: InstalledKey | None) -> str:
    """Return the sense that reading ends with."""
    with pytest.raises(CheckCondition) as caught:
        list(cartridge.read(key))
    return caught.value.triple


@pytest.mark.parametrize("key", [None, a_key()], ids=["clear", "encrypted"])
@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(DATA)])
def test_what_is_written_is_read_back(blank: Cartridge, key: InstalledKey | None, length: int) -> None:
    cartridge = written(blank, key, DATA[:length])
    assert b"".join(cartridge.read(key)) == DATA[:length]
    assert cartridge.volser == "E01001L4"


def test_the_file_shows_nothing_of_the_data_once_encrypted(blank: Cartridge) -> None:
    assert DATA[:64] in written(blank, None).path.read_bytes()
    assert DATA[:64] not in written(blank, a_key()).path.read_bytes()


def test_two_equal_blocks_look_different(blank: Cartridge) -> None:
    records = list(written(blank, a_key(), bytes(2 * BLOCK)).records())
    assert records[0].content != records[1].content


@pytest.mark.parametrize("key", [None, a_key(2), a_key(1, (0, 0))], ids=["none", "another", "modes 0/0"])
def test_a_wrong_or_missing_key_gives_07_74_03(blank: Cartridge, key: InstalledKey | None) -> None:
    assert condition(written(blank, a_key()), key) == "07/74/03"


def test_a_clear_block_gives_07_74_02_when_only_decrypting(blank: Cartridge) -> None:
    assert condition(written(blank, None), a_key(1, (2, 2))) == "07/74/02"


def test_a_clear_block_is_read_in_mixed_mode(blank: Cartridge) -> None:
    assert b"".join(written(blank, None).read(a_key())) == DATA


def test_every_flipped_bit_of_an_encrypted_recording_is_noticed(blank: Cartridge) -> None:
    cartridge = written(blank, a_key(), DATA[:40])
    good = cartridge.path.read_bytes()
    for place in range(64, len(good)):
        cartridge.path.write_bytes(good[:place] + bytes((good[place] ^ 1,)) + good[place + 1 :])
        with pytest.raises(CheckCondition):
            list(cartridge.read(a_key()))


def test_blocks_that_changed_places_are_noticed(blank: Cartridge) -> None:
    cartridge = written(blank, a_key(), DATA[: 2 * BLOCK])
    good = cartridge.path.read_bytes()
    size = 5 + 40 + BLOCK
    first, second = good[64 : 64 + size], good[64 + size : 64 + 2 * size]
    cartridge.path.write_bytes(good[:64] + second + first + good[64 + 2 * size :])
    assert condition(cartridge, a_key()) == "07/74/04"


def test_a_recording_cut_at_any_byte_is_no_whole_recording(blank: Cartridge) -> None:
    cartridge = written(blank, a_key(), DATA[:40])
    good = cartridge.path.read_bytes()
    for length in range(len(good)):
        cartridge.path.write_bytes(good[:length])
        assert condition(cartridge, a_key()) in {"03/31/00", "08/00/05"}


def test_a_second_recording_replaces_the_first_from_the_beginning(blank: Cartridge) -> None:
    written(blank, a_key())
    cartridge = written(blank, a_key(2), DATA[:10])
    assert b"".join(cartridge.read(a_key(2))) == DATA[:10]
    assert cartridge.path.stat().st_size < 200


def test_page_0021_tells_what_the_next_block_needs(blank: Cartridge) -> None:
    key = a_key()
    assert encryption_status(blank.next_block_status()) == 2
    assert encryption_status(written(blank, None).next_block_status()) == 3
    cartridge = written(blank, key)
    for held, status in ((None, 6), (a_key(2), 6), (key, 5)):
        page = cartridge.next_block_status(held)
        assert encryption_status(page) == status
        assert akad_of(page) == key.dki


def test_a_write_protected_cartridge_is_not_written(tmp_path: Path) -> None:
    create_cartridge(tmp_path / "tape", "E01001L4", write_protected=True)
    cartridge = load_cartridge(tmp_path / "tape")
    with pytest.raises(CheckCondition, match="07/27/00"):
        cartridge.write(io.BytesIO(DATA), a_key(), os.urandom)
    assert cartridge.path.stat().st_size == 64


def test_a_cartridge_file_is_private_and_never_made_over_another(blank: Cartridge) -> None:
    assert stat.S_IMODE(blank.path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        create_cartridge(blank.path, "E01002L4")


@pytest.mark.parametrize("volser", ["", "x" * 33, "Ä"])
def test_a_volser_that_no_label_can_bear_is_refused(tmp_path: Path, volser: str) -> None:
    with pytest.raises(ValueError):
        create_cartridge(tmp_path / "tape", volser)
    assert not (tmp_path / "tape").exists()


def test_a_file_that_is_no_cartridge_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tape").write_bytes(b"no tape at all".ljust(100))
    with pytest.raises(CheckCondition, match="03/31/00"):
        load_cartridge(tmp_path / "tape")
