"""A forgotten command password is set with the service stopped, and what `init` makes of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.accounts import LOCK_US
from qekm.clock import now_us as clock_us
from qekm.configuration.settings import Settings
from qekm.errors import BadPassword, StoreInUse
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.model import Account, AuditRecord, Certificate, Role
from qekm.resetting import reset
from qekm.sealing import Cost, KeyFileSealer, Verifiers
from qekm.secret import Secret
from qekm.store import Store
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from tests.qekm.backup.site import Site
from tests.system.processes import run_server

CHEAP = Cost(8, 1, 1)
FIRST, SECOND = "correct horse", "battery staple"
ADMINISTRATOR = "administrator/administrator"
ONE_DISK = {"keystore.protect": "none"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a key manager whose administrator has a password."""
    made = Home(tmp_path / "home")
    make(made, Wanted(keys=0, properties=ONE_DISK, command_password=Secret(FIRST.encode())), clock_us)
    return made


def seen(home: Home) -> tuple[dict[str, Account], list[AuditRecord]]:
    """Return the accounts and the trail of a stopped service."""
    with Store.looked_at(home.store) as store:
        accounts = {each.actor: each for each in store.load().accounts}
        return accounts, [link.record for link in store.audit_page(0, 1_000)]


def is_right(home: Home, account: Account, password: str) -> bool:
    """Tell whether a password is an account's."""
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    try:
        return Verifiers(store.ring.pepper).is_right(account.verifier, Secret(password.encode()))
    finally:
        store.close()


def set_(home: Home, actor: str, password: str) -> bool:
    """Set a password; return whether its person has a certificate."""
    settings = Settings.load(home.config, {})
    return reset(
        home, settings, KeyFileSealer(home.root_key), actor, Secret(password.encode()), clock_us, CHEAP
    )[1]


def test_init_gives_the_first_administrator_a_password(home: Home) -> None:
    accounts, records = seen(home)
    assert list(accounts) == [ADMINISTRATOR]
    assert is_right(home, accounts[ADMINISTRATOR], FIRST)
    made = [(each.actor, each.message) for each in records if each.event == "account.create"]
    assert made == [("init", f"{ADMINISTRATOR}: the first command password")]


def test_init_without_one_makes_none_and_with_a_bad_one_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for bad in (b"short", b"changeme", b"\xff" * 9):
        with pytest.raises(BadPassword):
            make(home, Wanted(keys=0, properties=ONE_DISK, command_password=Secret(bad)), clock_us)
        assert not home.path.exists() or not list(home.path.iterdir())
    make(home, Wanted(keys=0, properties=ONE_DISK), clock_us)
    assert seen(home)[0] == {}


def test_a_forgotten_one_is_replaced_and_a_lock_ends(home: Home) -> None:
    account = seen(home)[0][ADMINISTRATOR]
    locked = Account(ADMINISTRATOR, account.verifier, 1, 1, 10, clock_us() + LOCK_US)
    site = Site(home, home.path, made=None)  # type: ignore[arg-type]
    site.change(locked)
    assert set_(home, ADMINISTRATOR, SECOND)
    accounts, records = seen(home)
    after = accounts[ADMINISTRATOR]
    assert (after.wrong, after.locked_until_us, after.create_time_us) == (0, 0, 1)
    assert is_right(home, after, SECOND)
    last = records[-1]
    assert (last.event, last.actor) == ("account.reset", "passwd")
    assert last.message == f"{ADMINISTRATOR}: another command password"
    assert verify(home, read_public_key(home.audit_key)).intact
    assert FIRST not in repr(records) and SECOND not in repr(records)


def test_somebody_without_one_gets_his_first_and_without_a_certificate_it_is_told(home: Home) -> None:
    assert not set_(home, "operator/olga", SECOND)
    accounts, records = seen(home)
    assert sorted(accounts) == [ADMINISTRATOR, "operator/olga"]
    assert records[-1].message == "operator/olga: the first command password"
    site = Site(home, home.path, made=None)  # type: ignore[arg-type]
    site.change(Certificate("ab", Role.OPERATOR, "olga", 1, clock_us() + LOCK_US, b""))
    assert set_(home, "operator/olga", FIRST)


def test_a_password_that_may_not_be_set_changes_nothing(home: Home) -> None:
    before = seen(home)
    with pytest.raises(BadPassword):
        set_(home, ADMINISTRATOR, "short")
    assert seen(home) == before


def test_the_program_sets_one_and_refuses_what_it_must(home: Home, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_text(SECOND + "\n")
    words = ("passwd", "administrator", "--home", home.path, "--new-password-file", new)
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        busy = run_server(*words)
        with pytest.raises(StoreInUse):
            set_(home, ADMINISTRATOR, SECOND)
    finally:
        store.close()
    assert busy.returncode == 6 and "qekm accounts reset" in busy.stderr
    done = run_server(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the command password of {ADMINISTRATOR} is set\n"
    assert is_right(home, seen(home)[0][ADMINISTRATOR], SECOND)
    other = run_server(*words, "--role", "auditor")
    assert "no certificate of auditor/administrator is in force" in other.stdout
    new.write_text("changeme\n")
    weak = run_server(*words)
    assert (weak.returncode, weak.stdout) == (2, "")
    assert "changeme" not in weak.stderr
    for odd in ((*words, "--role", "gateway"), words[:4]):
        assert run_server(*odd).returncode == 2
    missing = run_server(*words[:4], "--new-password-file", tmp_path / "none")
    assert missing.returncode == 2 and "cannot be read" in missing.stderr


def test_the_program_takes_the_new_one_from_a_descriptor(home: Home) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        pipe.write(SECOND)
    words = ("passwd", "administrator", "--home", home.path, "--new-password-fd", str(reader))
    done = run_server(*words, pass_fds=(reader,))
    os.close(reader)
    assert done.returncode == 0, done.stderr
    assert is_right(home, seen(home)[0][ADMINISTRATOR], SECOND)


def test_init_of_the_program_takes_one_from_a_file_and_tells_when_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(FIRST)
    words = ("init", "--keys", "0", "--property", "keystore.protect=none")
    alone = f"DEGRADED {ADMINISTRATOR} has no command password: its certificate alone is enough"
    with_one = run_server(
        *words, "--home", tmp_path / "one", "--command-password-file", tmp_path / "password"
    )
    assert with_one.returncode == 0 and alone not in with_one.stdout
    assert list(seen(Home(tmp_path / "one"))[0]) == [ADMINISTRATOR]
    without = run_server(*words, "--home", tmp_path / "none")
    assert without.returncode == 0 and alone in without.stdout


def test_accounts_are_in_a_backup_and_come_back_with_it(tmp_path: Path) -> None:
    from qekm.backup.opening import root_of
    from qekm.restoring import Restorer
    from qekm.restoring import Wanted as Restored

    site = Site.make(tmp_path / "old")
    accounts = [
        Account(ADMINISTRATOR, b"alices verifier", 1, 2, 3),
        Account(
            "custodian/bob",
            b"bobs verifier",
            1,
            2,
            10,
            clock_us() + LOCK_US,
        ),
    ]
    site.change(*accounts)
    place = Home(tmp_path / "new")
    restorer = Restorer(place, Restored(site.back_up().path), clock_us)
    restorer.onto_nothing(lambda cover: root_of(cover, KeyFileSealer(site.home.root_key)))
    assert site.load(place)[0].accounts == accounts
