"""An old copy of a store becomes the present one: a new epoch, and nothing of the old pool is given again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.adopting import adopt
from qekm.backup.reading import seen
from qekm.clock import now_us
from qekm.errors import BadPassword, NotBehind, StoreInUse
from qekm.estate import BEHIND
from qekm.model import KeyState, Setting
from qekm.peers import KNOWN_EPOCH
from qekm.sealing import KeyFileSealer, PasswordSealer
from qekm.secret import Secret
from qekm.store import Store
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.qekm.backup.site import PASSWORD, Site
from tests.system.processes import run_server


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path / "site")


def put_back(site: Site, path: Path) -> None:
    """Let the store go on, then put an old copy of it back, as a snapshot of the disk does."""
    shutil.copytree(site.home.store_directory, path / "copy")
    site.change(Setting("one", "more"))
    shutil.rmtree(site.home.store_directory)
    shutil.copytree(path / "copy", site.home.store_directory)


def adopted(site: Site) -> object:
    """Adopt the site's store."""
    return adopt(site.home, site.settings, KeyFileSealer(site.home.root_key), now_us)


def test_an_old_copy_is_adopted_with_a_new_epoch_and_pool(site: Site, tmp_path: Path) -> None:
    site.change(Setting("first", "commit"))  # the anchor is there from now on
    put_back(site, tmp_path)
    old, before = site.keys(), site.materials()
    store = site.open()
    assert "its anchor has seen commit" in store.behind
    store.close()
    told = adopted(site)
    store = site.open()
    assert (store.behind, store.witness.epoch) == ("", 2)
    events = [link.record.event for link in store.iterate_audit()]
    store.close()
    assert events[-1] == "store.adopt"
    found = site.keys()
    assert {found[alias].state for alias in old} == {KeyState.QUARANTINED}
    assert [key.state for alias, key in found.items() if alias not in old] == [KeyState.GENERATED] * 8
    assert site.materials().items() >= before.items()
    assert "epoch 2" in str(told)
    assert verify(site.home, read_public_key(site.home.audit_key)).intact
    with pytest.raises(NotBehind):
        adopted(site)


def test_a_store_that_lost_its_anchor_is_adopted(site: Site) -> None:
    site.change(Setting("first", "commit"))
    site.home.anchor.unlink()
    adopted(site)
    store = site.open()
    assert (store.behind, site.home.anchor.exists()) == ("", True)
    store.close()


def test_a_store_that_backups_are_ahead_of_is_adopted_with_an_epoch_after_theirs(
    site: Site, tmp_path: Path
) -> None:
    shutil.copytree(site.home.path, tmp_path / "copy")
    site.change(Setting("later", "commit"))
    site.change(Setting("latest", "commit"))
    site.back_up()
    shutil.rmtree(site.home.path)
    shutil.copytree(tmp_path / "copy", site.home.path)

    def opened() -> Store:
        sealer = KeyFileSealer(site.home.root_key)
        return Store.open(
            site.home.store,
            unlock(sealer),
            anchor=site.home.anchor,
            witnesses=lambda ring: seen(site.backups, ring),
        )

    store = opened()
    assert "a backup has seen commit" in store.behind
    store.close()
    adopted(site)
    store = opened()
    assert store.behind == ""
    store.close()


def test_what_was_told_of_the_store_stays_until_it_is_adopted(site: Site) -> None:
    site.change(Setting(BEHIND, "its anchor has seen commit 9"))
    adopted(site)
    assert site.load()[0].settings[BEHIND] == ""


def test_a_store_that_nothing_is_said_against_is_left_alone(site: Site) -> None:
    before = site.home.store.read_bytes()
    with pytest.raises(NotBehind):
        adopted(site)
    assert site.home.store.read_bytes() == before


def test_it_takes_what_opens_the_store_and_that_nobody_has_it_open(site: Site) -> None:
    with pytest.raises(BadPassword):
        adopt(site.home, site.settings, PasswordSealer(Secret(b"incorrect horse battery")), now_us)
    store = site.open()
    try:
        with pytest.raises(StoreInUse):
            adopted(site)
    finally:
        store.close()


def test_used_keys_stay_what_they_are(site: Site) -> None:
    keys = list(site.keys().values())
    site.change(
        replace(keys[0], state=KeyState.ACTIVE, version=2),
        replace(keys[1], state=KeyState.COMPROMISED, version=2),
        Setting(BEHIND, "old"),
    )
    adopted(site)
    found = site.keys()
    assert [found[key.alias].state for key in keys[:2]] == [KeyState.ACTIVE, KeyState.COMPROMISED]


def test_the_program_wants_to_be_told_that_there_is_no_newer_store(site: Site, tmp_path: Path) -> None:
    site.change(Setting(BEHIND, "its anchor has seen commit 9"))
    (tmp_path / "password").write_text(PASSWORD)
    words = ["adopt", "--home", site.home.path, "--password-file", tmp_path / "password"]
    refused = run_server(*words)
    assert refused.returncode == 2
    assert "--i-have-no-newer-store" in refused.stderr
    done = run_server(*words, "--i-have-no-newer-store")
    assert done.returncode == 0, done.stderr
    assert "is the present one: epoch 2: 8 unused keys are put aside" in done.stdout
    assert run_server(*words, "--i-have-no-newer-store").returncode == 6


def test_the_epoch_of_a_store_that_is_adopted_follows_what_another_server_knows(site: Site) -> None:
    site.change(Setting(BEHIND, "server b refuses this one"), Setting(KNOWN_EPOCH, "7"))
    assert "epoch 8" in str(adopted(site))
    store = site.open()
    assert (store.behind, store.witness.epoch) == ("", 8)
    store.close()
