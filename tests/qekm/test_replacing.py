"""A backup in the place of a store that is there: approved, whole whenever cut off, the old one kept."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from qekm.backup.permission import restore_act
from qekm.backup.writing import Written
from qekm.building import finish
from qekm.clock import now_us
from qekm.configuration.settings import amend
from qekm.errors import (
    ApprovalNeeded,
    BackupDamaged,
    BadPassword,
    HomeExists,
    KeyInUse,
    NotInitialised,
    StoreDamaged,
    StoreInUse,
    UnknownBackup,
)
from qekm.home import Home
from qekm.keystore import Keystore
from qekm.model import Approval, ApprovalState, KeyState
from qekm.replacing import replace_store
from qekm.restoring import Restored, Restorer, Wanted
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.tombstones import NAME, bury
from qekm.trail import read_public_key, verify
from tests.qekm.backup.site import Site
from tests.system.processes import environment, run_server

CLIENT = "ClientKeyManagerConfig.properties"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path / "site", twoPerson="on")


def approve(
    site: Site, written: Written, state: ApprovalState = ApprovalState.APPROVED, ends_us: int = 0
) -> None:
    """Enter an approval of exactly this file into the store."""
    act = restore_act(written.sha256, written.path.name)
    ends_us = ends_us or now_us() + 3_600_000_000
    site.change(
        Approval(
            "0badcafe",
            act.action,
            act.digest,
            act.summary,
            "administrator/anna",
            1,
            ends_us,
            state,
            "custodian/carl",
            2,
        )
    )


def replaced(site: Site, path: Path, lose: int = 0) -> Restored:
    """Put a backup in the place of the site's store."""
    restorer = Restorer(site.home, Wanted(path, lose=lose), now_us)
    return replace_store(restorer, site.settings, KeyFileSealer(site.home.root_key))


def whole(home: Home) -> dict[str, bytes]:
    """Return every file of a home that matters, by name."""
    skipped = {"lock", "anchor"}
    return {
        str(path.relative_to(home.path)): path.read_bytes()
        for path in home.path.rglob("*")
        if path.is_file() and path.name not in skipped and not path.name.startswith("qekm.db-")
    }


def kept(home: Home) -> list[str]:
    """Return the names of what is kept of before."""
    return sorted(path.name.partition(".before-restore-")[0] for path in home.path.glob("*.before-restore-*"))


def test_an_approved_backup_takes_the_stores_place_and_the_old_one_is_kept(site: Site) -> None:
    written = site.back_up()
    before, old_keys = site.materials(), site.keys()
    approve(site, written)
    told = replaced(site, written.path)
    assert site.materials().items() >= before.items()
    assert {site.keys()[alias].state for alias in old_keys} == {KeyState.QUARANTINED}
    assert kept(site.home) == [CLIENT, "KeyManagerConfig.properties", "pki", "root.key", "store"]
    old = Home(site.home.path / f"store.{told.kept}")
    store = Store.open(
        old.path / "qekm.db",
        lambda locked: _ring(site.home.path / f"root.key.{told.kept}", locked),
    )
    assert {each.state for each in store.load().approvals} == {ApprovalState.USED}
    last = [link.record for link in store.iterate_audit()][-1]
    assert (last.event, "custodian/carl" in last.message) == ("server.restore", True)
    store.close()
    assert verify(site.home, read_public_key(site.home.audit_key)).intact
    assert not site.home.pending.exists()
    assert not list(site.home.path.glob(".init-*"))


def _ring(key_file: Path, locked: object) -> object:
    from qekm.unlocking import unlock

    return unlock(KeyFileSealer(key_file))(locked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "prepare",
    [
        lambda site, written: None,
        lambda site, written: approve(site, written, ApprovalState.PENDING),
        lambda site, written: approve(site, written, ApprovalState.USED),
        lambda site, written: approve(site, written, ApprovalState.REFUSED),
        lambda site, written: approve(site, written, ends_us=now_us() - 1),
    ],
    ids=["none", "pending", "used", "refused", "ended"],
)
def test_without_an_approval_nothing_is_replaced(
    site: Site, prepare: Callable[[Site, Written], None]
) -> None:
    written = site.back_up()
    prepare(site, written)
    before = whole(site.home)
    with pytest.raises(ApprovalNeeded, match="second person"):
        replaced(site, written.path)
    assert whole(site.home) == before


def test_the_approval_of_another_file_approves_nothing(site: Site) -> None:
    first = site.back_up()
    approve(site, first)
    second = site.back_up()
    with pytest.raises(ApprovalNeeded):
        replaced(site, second.path)


def test_an_approval_is_used_once(site: Site) -> None:
    written = site.back_up()
    approve(site, written)
    replaced(site, written.path)
    with pytest.raises(ApprovalNeeded):
        replaced(site, written.path)


def test_where_one_person_may_do_it_none_is_needed(site: Site) -> None:
    written = site.back_up()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    replaced(site, written.path)
    assert "store" in kept(site.home)


def test_a_key_that_the_store_has_as_destroyed_does_not_come_back(site: Site, tmp_path: Path) -> None:
    """Nothing but the store that is replaced, or the tombstones beside its anchor, tells of it."""
    written = site.back_up()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    first, second, *_ = site.keys().values()
    gone = replace(first, state=KeyState.DESTROYED, sealed=b"", check_value=b"", destroy_time_us=9)
    site.change(replace(gone, version=first.version + 1))
    (graves := tmp_path / "elsewhere").mkdir()
    amend(site.home.config, {"keystore.anchor": str(graves / "anchor")})  # the backup names another
    shutil.copyfile(site.home.anchor, graves / "anchor")
    ring = site.load()[1]
    bury(graves / NAME, [replace(second, destroy_time_us=9)], ring.seals, ring.estate_id)
    told = replaced(site, written.path)
    assert told.epoch.erased == 2
    assert {site.keys()[key.alias].state for key in (first, second)} == {KeyState.DESTROYED}
    assert not {first.alias, second.alias} & site.materials().keys()


def test_keys_in_use_that_are_not_in_the_backup_are_lost_only_if_their_number_is_said(site: Site) -> None:
    written = site.back_up()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    found, ring = site.load()
    made = Keystore(found.keys, ring, now_us, os.urandom, "0A1B2C3D4E").generate(5, "default")
    used = [replace(key, state=KeyState.ACTIVE, assign_time_us=5) for key in made[:2]]
    site.change(*used, *made[2:])
    before = whole(site.home)
    for lose in (0, 1, 3, 5):
        with pytest.raises(KeyInUse, match="5 keys made since are not in it, 2 of them") as caught:
            replaced(site, written.path, lose)
        assert "--lose 2" in caught.value.advice
        assert whole(site.home) == before
    told = replaced(site, written.path, 2)
    assert (told.lost.made, told.lost.given) == (5, 2)
    store = site.open()
    assert "5 keys made since are not in it" in [link.record for link in store.iterate_audit()][-1].message
    store.close()


def test_a_damaged_backup_or_one_of_another_estate_replaces_nothing_and_uses_no_approval(
    site: Site, tmp_path: Path
) -> None:
    written = site.back_up()
    altered = tmp_path / "altered.qbk"
    content = bytearray(written.path.read_bytes())
    content[-200] ^= 1
    altered.write_bytes(content)
    foreign = Site.make(tmp_path / "other").back_up().path
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    before = whole(site.home)
    for path, error in (
        (altered, BackupDamaged),
        (foreign, BackupDamaged),
        (tmp_path / "none", UnknownBackup),
    ):
        with pytest.raises(error):
            replaced(site, path)
        assert whole(site.home) == before
    amend(site.home.config, {"twoPerson": "on"})
    approve(site, Written(altered, written.header, 0, sha256(content).digest()))
    with pytest.raises(BackupDamaged):
        replaced(site, altered)
    assert {each.state for each in site.load()[0].approvals} == {ApprovalState.APPROVED}


def test_a_store_that_is_served_is_not_replaced(site: Site) -> None:
    written = site.back_up()
    store = site.open()
    try:
        with pytest.raises(StoreInUse):
            replaced(site, written.path)
    finally:
        store.close()


def test_the_store_stays_locked_until_the_new_one_is_in_its_place(site: Site) -> None:
    """Whoever would start a service meanwhile would write into what is moved away."""
    written = site.back_up()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    seen: list[str] = []

    def tell(_step: str, _done: int, _total: int) -> None:
        with (site.home.store_directory / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                seen.append("free")
            except OSError:
                seen.append("locked")

    restorer = Restorer(site.home, Wanted(written.path), now_us, tell=tell)
    replace_store(restorer, site.settings, KeyFileSealer(site.home.root_key))
    assert set(seen) == {"locked"}
    site.open().close()


def test_a_store_that_is_damaged_says_what_to_do(site: Site) -> None:
    written = site.back_up()
    database = sqlite3.connect(site.home.store)
    database.execute("DELETE FROM keys WHERE created_seq = 2")
    database.commit()
    database.close()
    with pytest.raises(StoreDamaged) as caught:
        replaced(site, written.path)
    assert "restore onto an empty one" in caught.value.advice


def test_the_present_store_must_be_opened_by_whoever_replaces_it(site: Site, tmp_path: Path) -> None:
    written = site.back_up()
    (tmp_path / "wrong").write_bytes(os.urandom(32))
    (tmp_path / "wrong").chmod(0o600)
    with pytest.raises(BadPassword):
        replace_store(
            Restorer(site.home, Wanted(written.path), now_us),
            site.settings,
            KeyFileSealer(tmp_path / "wrong"),
        )


def test_two_at_once_do_not_meet(site: Site) -> None:
    written = site.back_up()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    handle = os.open(site.home.path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(HomeExists, match="another init"):
            replaced(site, written.path)
    finally:
        os.close(handle)


# Cut off.


def restore(site: Site, *words: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    """Run qekm-server restore, killed where a failpoint says."""
    command = [sys.executable, "-m", "qekm.server", "restore", "--home", str(site.home.path), *words]
    more = {"QEKM_FAILPOINT": failpoint} if failpoint else {}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment(**more)
    )


@pytest.mark.parametrize(
    ("failpoint", "lasting"),
    [
        ("commit.before=exit@2", "old"),
        ("commit.after=exit@2", "old"),
        ("restore.installing=exit", "cut"),
        ("restore.installed=exit", "cut"),
    ],
)
def test_a_replacement_that_is_killed_leaves_the_old_or_can_be_finished(
    site: Site, failpoint: str, lasting: str
) -> None:
    """The second commit of the program is that which uses the approval up."""
    written = site.back_up()
    before = site.materials()
    approve(site, written)
    done = restore(site, str(written.path), "--replace", failpoint=failpoint)
    assert done.returncode == -9, done.stderr
    if lasting == "old":
        site.home.require()
        assert site.materials() == before
        return
    with pytest.raises(NotInitialised, match="cut off") as caught:
        site.home.require()
    assert "qekm-server restore --replace" in caught.value.advice
    refused = run_server("run", "--home", site.home.path)
    assert refused.returncode == 6
    assert "a restore was cut off" in refused.stderr
    finished = restore(site, "--replace")
    assert finished.returncode == 0, finished.stderr
    assert "finished the restore that was cut off" in finished.stdout
    assert site.materials().items() >= before.items()
    assert "store" in kept(site.home)
    assert run_server("check", "--home", site.home.path).returncode == 0
    assert restore(site, "--replace").returncode == 2  # nothing is pending: name a file


def test_an_exchange_that_was_cut_off_after_any_of_its_moves_is_finished(site: Site, tmp_path: Path) -> None:
    """Each state that a crash can leave is made by hand, from one that a crash did leave."""
    written = site.back_up()
    before = site.materials()
    amend(site.home.config, {"twoPerson": "off"}, keep=False)
    assert restore(site, str(written.path), "--replace", failpoint="restore.installing=exit").returncode == -9
    for moves in range(11):
        home = Home(tmp_path / f"cut-{moves}")
        shutil.copytree(site.home.path, home.path)
        for old, new in list(_moves(home))[:moves]:
            old.rename(new)
        assert finish(home).startswith("before-restore-")
        home.require()
        assert site.materials(home).items() >= before.items()
        assert kept(home) == [CLIENT, "KeyManagerConfig.properties", "pki", "root.key", "store"]
        assert not list(home.path.glob(".init-*"))
        assert finish(home) == ""


def _moves(home: Home) -> Iterator[tuple[Path, Path]]:
    """Yield what a restore that has written its journal moves, and where to, in order."""
    journal = json.loads(home.pending.read_bytes())
    for part in ("pki", CLIENT, "root.key", "store", "KeyManagerConfig.properties"):
        yield home.path / part, home.path / f"{part}.{journal['kept']}"
        yield home.path / journal["new"] / part, home.path / part
