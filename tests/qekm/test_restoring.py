"""A backup restored onto an empty home: every key is readable, none of the old pool is given again."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from qekm.allocator import Allocator
from qekm.backup.opening import root_of
from qekm.backup.writing import Written
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.errors import (
    BackupDamaged,
    BadConfiguration,
    BadPassword,
    HomeExists,
    PoolEmpty,
    QekmError,
    UnknownBackup,
    UnknownProperty,
)
from qekm.home import Home
from qekm.keystore import Keystore
from qekm.model import Approval, ApprovalState, Key, KeyState, Outcome, Role
from qekm.restoring import Restored, Restorer, Wanted
from qekm.sealing import KeyFileSealer, PasswordSealer, Sealer, SharesSealer
from qekm.secret import Secret
from qekm.store import INSTANCE, Store
from qekm.subject import subject_of
from qekm.tombstones import bury
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.qekm.backup.site import PASSWORD, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path / "old")


def restored(
    path: Path, written: Written | Path, sealer: Sealer, home: str = "new", **wanted: object
) -> tuple[Home, Restored]:
    """Restore a backup into a new home."""
    file = written if isinstance(written, Path) else written.path
    place = Home(path / home)
    restorer = Restorer(place, Wanted(file, **wanted), now_us)  # type: ignore[arg-type]
    return place, restorer.onto_nothing(lambda cover: root_of(cover, sealer))


def key_file(site: Site) -> KeyFileSealer:
    """Return the old machine's key file."""
    return KeyFileSealer(site.home.root_key)


def in_state(site: Site, key: Key, state: KeyState) -> Key:
    """Put a key of the store into a state."""
    changed = replace(key, state=state, version=key.version + 1)
    site.change(changed)
    return changed


def test_every_key_is_readable_and_the_old_pool_is_put_aside_for_good(site: Site, tmp_path: Path) -> None:
    keys = list(site.keys().values())
    in_state(site, keys[0], KeyState.READY)
    in_state(site, replace(keys[1], assign_time_us=5, drive_serial="001300000392"), KeyState.ASSIGNED)
    in_state(site, replace(keys[2], assign_time_us=5, drive_serial="001300000392"), KeyState.ACTIVE)
    in_state(site, replace(keys[3], destroy_time_us=9, former=5), KeyState.DESTROY_PENDING)
    before = site.materials()
    home, told = restored(tmp_path, site.back_up(), key_file(site))
    after, found = site.materials(home), site.keys(home)
    assert {alias: after[alias] for alias in before} == before
    states = [found[key.alias].state for key in keys]
    assert states == [
        KeyState.QUARANTINED,
        KeyState.SUSPECT,
        KeyState.ACTIVE,
        KeyState.SUSPECT,
        *[KeyState.QUARANTINED] * 4,
    ]
    new = [key for alias, key in found.items() if alias not in before]
    assert {key.state for key in new} == {KeyState.GENERATED}
    assert {key.epoch for key in new} == {2}
    assert min(key.created_seq for key in new) > max(key.created_seq for key in keys)
    assert len({alias[5:15] for alias in before} & {key.alias[5:15] for key in new}) == 0
    assert (told.epoch.aside, told.epoch.suspect, told.epoch.kept, told.epoch.made) == (5, 1, 1, len(new))


def test_no_key_of_the_old_pool_can_ever_be_chosen_again(site: Site, tmp_path: Path) -> None:
    for key in site.keys().values():
        in_state(site, key, KeyState.READY)
    old = set(site.keys())
    home, _ = restored(tmp_path, site.back_up(), key_file(site))
    found, ring = site.load(home)
    instance = bytes.fromhex(found.settings[INSTANCE])
    keystore = Keystore(found.keys, ring, now_us, os.urandom, "0A1B2C3D4E", 2, instance=instance)
    keystore.protect(1 << 40)
    allocator = Allocator(found.groups, keystore, now_us)
    given = []
    with pytest.raises(PoolEmpty):
        while True:
            key = allocator.choose(None)
            keystore.assign(key, 1, ("001300000392", b"", ""))
            given.append(key.alias)
    assert len(given) == 8
    assert not set(given) & old


def test_the_store_goes_on_where_it_was_in_a_new_epoch_and_needs_no_anchor(
    site: Site, tmp_path: Path
) -> None:
    written = site.back_up()
    home, _ = restored(tmp_path, written, key_file(site))
    store = site.open(home)
    try:
        assert store.behind == ""
        assert (store.witness.epoch, store.witness.sequence) == (2, written.header.sequence + 1)
        records = [link.record for link in store.iterate_audit()]
    finally:
        store.close()
    assert [record.event for record in records] == [
        "server.init",
        *["certificate.issue"] * 3,
        "server.restore",
    ]
    assert (records[-1].outcome, records[-1].actor) == (Outcome.SUCCESS, "restore")
    assert written.header.name in records[-1].message
    assert verify(home, read_public_key(home.audit_key)).intact
    assert read_public_key(home.audit_key) == read_public_key(site.home.audit_key)


def test_the_home_is_private_and_complete(site: Site, tmp_path: Path) -> None:
    home, _ = restored(tmp_path, site.back_up(), key_file(site))
    home.require()
    for path in [home.path, *home.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in home.path.iterdir()} == {path.name for path in site.home.path.iterdir()}


def test_this_machine_has_certificates_of_its_own_and_drives_trust_it_as_before(
    site: Site, tmp_path: Path
) -> None:
    home, told = restored(tmp_path, site.back_up(), key_file(site))
    assert told.anchor == site.made.anchor
    assert home.trust.read_bytes() == site.home.trust.read_bytes()
    found, _ = site.load(home)
    records = {record.serial: record for record in found.certificates}
    for name in ("server", "gateway", "administrator"):
        old, new = (
            x509.load_pem_x509_certificate(each.certificate(name).read_bytes()) for each in (site.home, home)
        )
        assert old.public_key() != new.public_key()
        assert subject_of(old) == subject_of(new)
        assert records[f"{old.serial_number:x}"].revoke_time_us
        assert not records[f"{new.serial_number:x}"].revoke_time_us
        assert home.key(name).read_bytes() != site.home.key(name).read_bytes()


def test_other_names_can_be_given_to_its_certificates(site: Site, tmp_path: Path) -> None:
    home, _ = restored(tmp_path, site.back_up(), key_file(site), hosts=("other.example",))
    leaf = x509.load_pem_x509_certificate(home.certificate("server").read_bytes())
    assert subject_of(leaf).hosts == ("localhost", "other.example", "127.0.0.1", "::1")


def openers(site: Site) -> Iterator[tuple[str, Sealer]]:
    """Yield everything that opens the old store."""
    yield "key-file", key_file(site)
    yield "password", PasswordSealer(Secret(PASSWORD.encode()))
    yield "shares", SharesSealer(site.mnemonics[1:])


def test_each_slot_of_the_file_opens_it_and_all_others_still_open_what_was_restored(
    site: Site, tmp_path: Path
) -> None:
    written = site.back_up()
    for name, sealer in openers(site):
        home, told = restored(tmp_path, written, sealer, name)
        assert told.key_file == home.root_key
        assert home.root_key.read_bytes() != site.home.root_key.read_bytes()
        for other, own in openers(site):
            if other != "key-file":
                Store.open(home.store, unlock(own)).close()
        with pytest.raises(BadPassword):
            Store.open(home.store, unlock(key_file(site)))
        Store.open(home.store, unlock(KeyFileSealer(home.root_key))).close()


def test_what_opens_nothing_restores_nothing(site: Site, tmp_path: Path) -> None:
    written, other = site.back_up(), Site.make(tmp_path / "other")
    wrong: list[tuple[Sealer, type[QekmError]]] = [
        (PasswordSealer(Secret(b"incorrect horse battery")), BadPassword),
        (SharesSealer(other.mnemonics[:2]), BadPassword),
        (key_file(other), BadPassword),
    ]
    for sealer, error in wrong:
        with pytest.raises(error):
            restored(tmp_path, written, sealer)
        assert list((tmp_path / "new").iterdir()) == []


def test_a_damaged_file_and_none_restore_nothing(site: Site, tmp_path: Path) -> None:
    written = site.back_up()
    content = bytearray(written.path.read_bytes())
    content[-200] ^= 1
    (tmp_path / "altered.qbk").write_bytes(content)
    for path, error in ((tmp_path / "altered.qbk", BackupDamaged), (tmp_path / "none.qbk", UnknownBackup)):
        with pytest.raises(error):
            restored(tmp_path, path, key_file(site))
        assert list((tmp_path / "new").iterdir()) == []


def test_a_home_that_is_taken_is_not_touched(site: Site, tmp_path: Path) -> None:
    written, other = site.back_up(), Site.make(tmp_path / "other")
    before = {path: path.read_bytes() for path in other.home.path.rglob("*") if path.is_file()}
    with pytest.raises(HomeExists):
        restored(tmp_path / "other", written, key_file(site), "home")
    assert {path: path.read_bytes() for path in other.home.path.rglob("*") if path.is_file()} == before


# Settings.


def test_settings_are_those_of_the_backup_and_can_be_set_anew(tmp_path: Path) -> None:
    site = Site.make(tmp_path / "old", grpc__port="4711", symmetricKeySet="tapes")
    text = site.home.config.read_text("latin-1") + "# mine\nsome.other=kept\n"
    site.home.config.write_text(text, "latin-1")
    written = site.back_up()
    home, _ = restored(tmp_path, written, key_file(site), properties={"grpc.port": "0"})
    settings = Settings.load(home.config, {})
    assert (settings["grpc.port"], settings["symmetricKeySet"]) == (0, "tapes")
    assert settings["backup.target"] == str(site.backups)
    assert "# mine\nsome.other=kept" in home.config.read_text("latin-1")
    with pytest.raises(UnknownProperty):
        restored(tmp_path, written, key_file(site), "x", properties={"no.such": "1"})


def test_without_protection_the_new_pool_is_ready_at_once(site: Site, tmp_path: Path) -> None:
    unprotected = {"keystore.protect": "none"}
    home, told = restored(tmp_path, site.back_up(), key_file(site), properties=unprotected)
    states = [key.state for key in site.keys(home).values()]
    assert states.count(KeyState.READY) == told.epoch.made == 8


def test_a_store_that_a_password_opens_at_every_start_gets_no_key_file(site: Site, tmp_path: Path) -> None:
    home, told = restored(tmp_path, site.back_up(), key_file(site), properties={"keystore.slot": "password"})
    assert told.key_file is None
    assert not home.root_key.exists()
    Store.open(home.store, unlock(key_file(site))).close()  # the old slots are all there


def test_a_key_file_that_the_settings_name_is_used_if_it_is_there_and_made_if_it_was_named(
    site: Site, tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere" / "key"
    place.parent.mkdir()
    written = site.back_up()
    home, told = restored(
        tmp_path, written, key_file(site), "one", properties={"keystore.keyFile": str(place)}
    )
    assert told.key_file == place
    content = place.read_bytes()
    assert not home.root_key.exists()
    Store.open(home.store, unlock(KeyFileSealer(place))).close()
    _, told = restored(tmp_path, written, key_file(site), "two", properties={"keystore.keyFile": str(place)})
    assert place.read_bytes() == content
    with pytest.raises(BadConfiguration, match="makes a key file"):
        named = {"keystore.keyFile": "credential:root"}
        restored(tmp_path, written, key_file(site), "three", properties=named)


# What is known of the time since.


def test_a_key_that_was_destroyed_since_does_not_come_back(site: Site, tmp_path: Path) -> None:
    written = site.back_up()
    keys = list(site.keys().values())
    ring = site.load()[1]
    gone = [replace(key, destroy_time_us=7, sealed=b"") for key in keys[:3]]
    bury(site.backups / "tombstones", gone[:2], ring.seals, ring.estate_id)
    (tmp_path / "new").mkdir()
    bury(tmp_path / "new" / "tombstones", gone[2:], ring.seals, ring.estate_id)  # beside the old anchor
    home, told = restored(tmp_path, written, key_file(site))
    found = site.keys(home)
    assert [found[key.alias].state for key in gone] == [KeyState.DESTROYED] * 3
    assert [found[key.alias].sealed for key in gone] == [b""] * 3
    assert told.epoch.erased == 3
    assert site.load(home)[0].settings["store.unerased"] == "yes"


def test_the_new_epoch_is_later_than_any_that_a_backup_beside_it_tells_of(site: Site, tmp_path: Path) -> None:
    written = site.back_up()
    first, _ = restored(tmp_path, written, key_file(site), "first")
    of_first = Site(first, site.backups, site.made)
    of_first.back_up()
    second, told = restored(tmp_path, written, key_file(site), "second")
    assert told.epoch.number == 3
    store = site.open(second)
    assert store.witness.epoch == 3
    store.close()


def test_a_request_for_two_people_that_the_backup_holds_is_void(site: Site, tmp_path: Path) -> None:
    later = now_us() + 10**12
    request = Approval("0badcafe", "export", bytes(32), "keys", "administrator/anna", 1, later)
    site.change(
        replace(request, state=ApprovalState.APPROVED, decider="custodian/carl"),
        replace(request, approval_id="0badcaff", state=ApprovalState.USED),
    )
    home, _ = restored(tmp_path, site.back_up(), key_file(site))
    found = {each.approval_id: each for each in site.load(home)[0].approvals}
    assert (found["0badcafe"].state, found["0badcafe"].decider) == (ApprovalState.REFUSED, "restore")
    assert found["0badcaff"].state is ApprovalState.USED


def test_a_roll_over_that_was_under_way_goes_on(site: Site, tmp_path: Path) -> None:
    from qekm.certificates import Certificates

    found, ring = site.load()
    server = site.home.certificate("server").read_bytes()
    owner = Certificates(ring.estate_id, found.vaults, found.certificates, server, ring, now_us, os.urandom)
    site.change(*owner.start_rollover())
    home, _ = restored(tmp_path, site.back_up(), key_file(site))
    assert home.trust.read_bytes() == owner.trust_pem
    assert home.trust.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    for name in ("server", "gateway", "administrator"):
        assert home.certificate(name).read_bytes().count(b"BEGIN CERTIFICATE") == 2
    found, ring = site.load(home)
    again = Certificates(
        ring.estate_id,
        found.vaults,
        found.certificates,
        home.certificate("server").read_bytes(),
        ring,
        now_us,
        os.urandom,
    )
    assert again.rolling
    assert {(each.role, each.name) for each in again.outdated()} == set()
    assert Role.SERVER in {each.role for each in found.certificates}
