"""The check of a trail that nobody serves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.clock import now_us as clock_us
from qekm.errors import BadConfiguration, StoreInUse
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.system.processes import run_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a key manager without keys and with four records."""
    made = Home(tmp_path / "home")
    make(made, Wanted(keys=0, properties={"keystore.protect": "none"}), clock_us)
    return made


def row_of(home: Home, event: bytes) -> tuple[int, int]:
    """Return where the record of an event lies in the file: from its event to the end of its hash."""
    content = home.store.read_bytes()
    connection = sqlite3.connect(home.store)
    (hash_,) = connection.execute("SELECT hash FROM audit WHERE event = ?", (event.decode(),)).fetchone()
    connection.close()
    return content.index(event), content.index(hash_) + len(hash_)


def test_every_flipped_byte_of_a_record_is_found(home: Home) -> None:
    key = read_public_key(home.audit_key)
    start, end = row_of(home, b"server.init")
    content = home.store.read_bytes()
    # From the row's own header (length, kinds of its fields, time) on, not only from the first text.
    for place in range(start - 24, end):
        damaged = bytearray(content)
        damaged[place] ^= 0x01
        home.store.write_bytes(damaged)
        assert not verify(home, key).intact, f"byte {place - start} of the record"
    home.store.write_bytes(content)
    assert verify(home, key).intact


def test_the_program_tells_the_verdict_and_ends_with_5_when_it_is_bad(home: Home) -> None:
    good = run_server("audit-verify", home.path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("the audit trail is intact: 4 records, head ")
    start, _ = row_of(home, b"server.init")
    content = bytearray(home.store.read_bytes())
    content[start] ^= 0x20
    home.store.write_bytes(content)
    bad = run_server("audit-verify", "--home", home.path)
    assert bad.returncode == 5
    assert "BROKEN at record 1: the record's hash does not hold" in bad.stdout


def test_another_key_than_the_trails_breaks_it_and_what_is_no_key_is_named(
    home: Home, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    public = Ed25519PrivateKey.generate().public_key()
    other.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert not verify(home, read_public_key(other)).intact
    other.write_text("rubbish")
    for path in (other, tmp_path / "none.pem", home.certificate("server")):
        with pytest.raises(BadConfiguration, match=path.name):
            read_public_key(path)


def test_a_store_that_is_served_is_not_checked_here(home: Home) -> None:
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        with pytest.raises(StoreInUse):
            verify(home, read_public_key(home.audit_key))
    finally:
        store.close()


def test_the_check_writes_nothing(home: Home) -> None:
    def seen() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in home.store_directory.iterdir()}

    before = seen()
    assert verify(home, read_public_key(home.audit_key)).intact
    assert seen() == before
