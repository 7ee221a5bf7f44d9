"""A partition: loading, writing, reading in another drive, and never in clear by accident."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qekm.dkp.codes import Ask, Code
from qekm.dkp.frame import Tag
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.cartridge import create_cartridge
from qekm_gateway.simulator.errand import Refused
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from qekm_gateway.simulator.sense import CheckCondition
from tests.fakes.key_manager import KeyManager
from tests.gateway.simulator.rig import SERIAL, fresh_drive, now_us

OTHER = "001310000363"
DATA = b"the customer's data, " * 50_000


@dataclass
class Site:
    """A library with two drives, one blank cartridge in a slot, and its key manager."""

    library: Library
    manager: KeyManager
    path: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Set one up."""
    manager = KeyManager()
    with manager.listening() as port:
        library = Library(
            "LIB1",
            [fresh_drive(SERIAL), fresh_drive(OTHER)],
            [Server("127.0.0.1", port)],
            Anchors([manager.pin]),
            os.urandom,
            now_us,
        )
        cartridge = create_cartridge(tmp_path / "tape", "E01001L4")
        library.insert(cartridge)
        yield Site(library, manager, cartridge.path)


def read(library: Library, serial: str, ask: Ask = Ask.TRANSLATE) -> bytes:
    """Read the loaded cartridge."""
    blocks: list[bytes] = []
    library.read(serial, blocks.append, ask)
    return b"".join(blocks)


def test_what_one_drive_writes_the_other_reads(site: Site) -> None:
    library = site.library
    library.load("E01001L4", SERIAL)
    outcome = library.write(SERIAL, io.BytesIO(DATA))
    assert outcome.key is not None
    library.unload(SERIAL)
    library.insert(library.eject("E01001L4"))
    library.load("E01001L4", OTHER)
    assert read(library, OTHER) == DATA
    assert DATA[:32] not in site.path.read_bytes()
    assert [frame.get(Tag.LIBRARY_SERIAL) for frame in site.manager.notifies] == [b"LIB1", b"LIB1"]
    assert library.tickets == []


def test_each_load_is_a_mount_of_its_own_and_unloading_forgets_the_key(site: Site) -> None:
    library = site.library
    for _ in range(2):
        library.load("E01001L4", SERIAL)
        library.write(SERIAL, io.BytesIO(DATA))
        assert library.drives[SERIAL].key is not None
        library.unload(SERIAL)
        assert library.drives[SERIAL].key is None
    assert len(site.manager.given) == 2
    assert len(set(site.manager.keys)) == 2


def test_writing_twice_in_one_mount_is_one_key(site: Site) -> None:
    site.library.load("E01001L4", SERIAL)
    site.library.write(SERIAL, io.BytesIO(DATA))
    site.library.write(SERIAL, io.BytesIO(DATA))
    assert len(site.manager.keys) == 1


@pytest.mark.parametrize("ask", [Ask.CREATE, Ask.OPTIONAL])
def test_a_refusal_leaves_the_medium_as_it_was(site: Site, ask: Ask) -> None:
    site.manager.refuse = Code.EF01
    before = site.path.read_bytes()
    site.library.load("E01001L4", SERIAL)
    with pytest.raises(Refused):
        site.library.write(SERIAL, io.BytesIO(DATA), ask)
    assert site.path.read_bytes() == before


def test_a_key_that_cannot_be_unwrapped_leaves_the_medium_as_it_was(site: Site) -> None:
    site.manager.lies.wrapped = lambda wrapped: bytes(len(wrapped))
    before = site.path.read_bytes()
    site.library.load("E01001L4", SERIAL)
    with pytest.raises(CheckCondition, match="05/74/0C"):
        site.library.write(SERIAL, io.BytesIO(DATA))
    assert site.path.read_bytes() == before


def test_clear_is_written_only_when_the_host_says_so_or_policy_does(site: Site) -> None:
    library = site.library
    library.load("E01001L4", SERIAL)
    library.write(SERIAL, io.BytesIO(DATA), None)
    assert DATA[:32] in site.path.read_bytes()
    assert not site.manager.notifies
    site.manager.no_key = True
    assert library.write(SERIAL, io.BytesIO(DATA), Ask.OPTIONAL).in_clear
    assert read(library, SERIAL) == DATA


def test_a_new_key_does_not_read_an_old_cartridge(site: Site) -> None:
    library = site.library
    library.load("E01001L4", SERIAL)
    library.write(SERIAL, io.BytesIO(DATA))
    library.unload(SERIAL)
    library.load("E01001L4", SERIAL)
    with pytest.raises(CheckCondition) as caught:
        read(library, SERIAL, Ask.CREATE)
    assert caught.value.triple == "07/74/03"


def test_trouble_on_the_way_to_a_key_becomes_a_ticket(site: Site) -> None:
    library = site.library
    broken = KeyManager(refuse=Code.EE0F)
    with broken.listening() as port:
        library.servers = (Server("127.0.0.1", port), *library.servers)
        library.load("E01001L4", SERIAL)
        library.write(SERIAL, io.BytesIO(DATA))
    assert [(server.port, trouble.triple) for server, trouble in library.tickets] == [(port, "07/74/62")]


def test_an_empty_drive_says_that_there_is_no_medium(site: Site) -> None:
    with pytest.raises(CheckCondition, match="02/3A/00"):
        site.library.write(SERIAL, io.BytesIO(DATA))
    with pytest.raises(CheckCondition, match="02/3A/00"):
        read(site.library, SERIAL)


def test_cartridges_and_drives_are_where_they_are(site: Site, tmp_path: Path) -> None:
    library = site.library
    with pytest.raises(ValueError, match="already"):
        library.insert(create_cartridge(tmp_path / "twin", "E01001L4"))
    library.load("E01001L4", SERIAL)
    library.insert(create_cartridge(tmp_path / "next", "E01002L4"))
    with pytest.raises(ValueError, match="loaded"):
        library.load("E01002L4", SERIAL)
    with pytest.raises(KeyError):
        library.load("E01001L4", OTHER)
    with pytest.raises(KeyError):
        library.eject("E01001L4")
