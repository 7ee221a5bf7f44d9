"""Issuing a certificate anew while the service is stopped."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509

from qekm import pki
from qekm.clock import now_us as clock_us
from qekm.configuration.settings import Settings
from qekm.errors import (
    BadArgument,
    BadCertificate,
    QekmError,
    StoreInUse,
    UnknownCertificate,
    UnknownIdentity,
)
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.renewing import renew
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.subject import subject_of
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.fakes.pki import DAY_US
from tests.system.processes import run_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a key manager without keys."""
    made = Home(tmp_path / "home")
    make(made, Wanted(keys=0, properties={"keystore.protect": "none"}), clock_us)
    return made


def leaf(home: Home, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(home.certificate(name).read_bytes())


@pytest.mark.parametrize("name", ["administrator", "gateway"])
def test_a_certificate_that_has_ended_is_issued_anew_for_its_key(home: Home, name: str) -> None:
    before = leaf(home, name)
    later = clock_us() + 500 * DAY_US
    issued = renew(home, Settings.load(home.config, {}), KeyFileSealer(home.root_key), name, lambda: later)
    after = leaf(home, name)
    assert after.public_key() == before.public_key() and subject_of(after) == subject_of(before)
    assert pki.end_us(before) < later < pki.end_us(after) == issued.expire_time_us
    after.verify_directly_issued_by(x509.load_pem_x509_certificate(home.trust.read_bytes()))
    assert stat.S_IMODE(home.certificate(name).stat().st_mode) == 0o600
    with Store.looked_at(home.store) as store:
        assert issued in store.load().certificates
        record = store.audit_page(0, 100)[-1].record
    told = f"{name}/{name}, serial {pki.serial_of(after)} after {pki.serial_of(before)}"
    assert (record.event, record.actor, record.message) == ("certificate.renew", "renew", told)
    assert verify(home, read_public_key(home.audit_key)).intact


def test_what_cannot_be_renewed_is_named_and_left_as_it_was(home: Home) -> None:
    other = Home(home.path.parent / "other")
    make(other, Wanted(keys=0, properties={"keystore.protect": "none"}), clock_us)
    home.certificate("odd").write_text("odd")
    home.certificate("stranger").write_bytes(other.certificate("gateway").read_bytes())
    home.certificate("keyless").write_bytes(home.certificate("gateway").read_bytes())
    home.key("keyless").write_text("odd")
    home.key("stranger").write_bytes(other.key("gateway").read_bytes())
    kinds: dict[str, type[QekmError]] = {
        "nobody": UnknownIdentity,
        "../pki/gateway": BadArgument,
        "odd": BadCertificate,
        "keyless": BadCertificate,
        "stranger": UnknownCertificate,
    }
    before = {path: path.read_bytes() for path in home.pki.iterdir()}
    for name, kind in kinds.items():
        with pytest.raises(kind):
            renew(home, Settings.load(home.config, {}), KeyFileSealer(home.root_key), name, clock_us)
    assert {path: path.read_bytes() for path in home.pki.iterdir()} == before


def test_the_program_refuses_while_the_service_runs_and_says_what_to_do(home: Home) -> None:
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        busy = run_server("renew", "administrator", "--home", home.path)
        with pytest.raises(StoreInUse):
            settings = Settings.load(home.config, {})
            renew(home, settings, KeyFileSealer(home.root_key), "administrator", clock_us)
    finally:
        store.close()
    assert busy.returncode == 6
    assert "hint: while the service runs: qekm certificates renew; else stop it first" in busy.stderr
    good = run_server("renew", "administrator", "--home", home.path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("administrator/administrator renewed: ")
