"""The store through its public face, on real files."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.errors import HomeExists, Incident, NotInitialised, StoreDamaged, StoreFailed, StoreInUse
from qekm.model import (
    Authority,
    BlockedKey,
    Cartridge,
    Certificate,
    Change,
    Drive,
    DriveState,
    Group,
    KeyState,
    LabelMode,
    OnExhaustion,
    Outcome,
    Removal,
    Role,
    Setting,
    Vault,
)
from qekm.store import Snapshot, Store
from qekm.store.uses import NODE_BITS
from tests.qekm.store.conftest import Failures
from tests.qekm.store.material import (
    DEFAULT,
    ESTATE,
    RING,
    SIGNER,
    SLOTS,
    create,
    make_key,
    make_record,
    unlock,
    verify,
)

FIRST = 1 << 40  # below are the numbers of former schemas
STEP = 1 << NODE_BITS  # between the numbers of two uses, while time stands still
KEY = make_key(1, KeyState.ASSIGNED, 2, assign_time_us=9, drive_serial="1", volser="V", mount_id=b"m" * 16)
GROUP = Group("Abteilung Süd", OnExhaustion.REFUSE, False, 3)
DRIVE = Drive(
    "001300000392",
    DriveState.ACCEPTED,
    4,
    b"12345678",
    "IBM",
    "ULT3580-TD4",
    "77BE",
    b"s" * 32,
    5,
    ("default", "a,b"),
    "default",
    "QKM000000000000000001",
    False,
    LabelMode.T10,
    "LIB1",
)
AUTHORITY = Authority(b"f" * 32, b"DER", "CN=Drives", 2**62, 1)
CERTIFICATE = Certificate("0a", Role.GATEWAY, "gateway", 1, 2, b"i" * 32, 3, ("localhost", "::1"))
BLOCKED = BlockedKey(b"b" * 32, 6)
VAULT = Vault("eak", b"sealed", b"DER")
SETTING = Setting("counter", "41")
EVERYTHING: list[Change] = [KEY, GROUP, DRIVE, AUTHORITY, CERTIFICATE, BLOCKED, VAULT, SETTING]


def _expected(snapshot: Snapshot) -> None:
    assert snapshot.keys == [KEY]
    assert sorted(snapshot.groups, key=lambda group: group.name) == [GROUP, DEFAULT]
    assert snapshot.drives == [DRIVE]
    assert snapshot.authorities == [AUTHORITY]
    assert snapshot.certificates == [CERTIFICATE]
    assert snapshot.blocked == [BLOCKED]
    assert snapshot.vaults == {"eak": VAULT}
    assert snapshot.settings == {"counter": "41"}


def test_what_a_store_is_created_with_is_there_when_it_is_opened(tmp_path: Path) -> None:
    use = Cartridge("E01001L4", KEY.alias, "001300000392", b"12345678", 8)
    store = Store.open(create(tmp_path, *EVERYTHING, use, make_record("made")), unlock)
    assert store.estate_id == ESTATE
    assert store.load().slots == [*SLOTS]
    _expected(store.load())
    assert store.cartridges_page(0, 10) == [(FIRST + STEP, replace(use, id=FIRST + STEP))]
    assert verify(list(store.iterate_audit())) == 1
    store.close()


async def test_every_kind_of_change_outlives_the_process_that_committed_it(path: Path, store: Store) -> None:
    use = Cartridge("E01001L4", KEY.alias, "001300000392", b"12345678", 8)
    await store.commit([*EVERYTHING, use, make_record("all")])
    store.close()
    again = Store.open(path, unlock)
    _expected(again.load())
    assert again.cartridges_page(0, 10) == [(FIRST + STEP, replace(use, id=FIRST + STEP))]
    assert [item.record for item in again.iterate_audit()] == [make_record("all")]
    again.close()


async def test_a_later_write_changes_a_key_whole(store: Store) -> None:
    await store.commit([KEY])
    later = replace(KEY, state=KeyState.ACTIVE, version=3, sealed=b"sealed anew", destroy_time_us=5)
    await store.commit([later])
    assert store.load().keys == [later]
    assert store.scrub(lambda rows: None).require()


async def test_a_write_that_comes_late_changes_nothing(store: Store) -> None:
    current = replace(KEY, state=KeyState.ACTIVE, version=3, volser="V1")
    await store.commit([current])
    for version in (1, 2):
        await store.commit([replace(KEY, state=KeyState.SUSPECT, version=version, volser="V2")])
        assert store.load().keys == [current]
    await store.commit([replace(current, version=5), replace(current, version=4, volser="V2")])
    assert store.load().keys == [replace(current, version=5)]


async def test_a_removed_row_is_gone_and_may_come_back_in_the_same_unit(store: Store) -> None:
    await store.commit(EVERYTHING)
    removals = [
        Removal(Drive, DRIVE.serial),
        Removal(Group, GROUP.name),
        Removal(Authority, AUTHORITY.fingerprint),
        Removal(BlockedKey, BLOCKED.spki_sha256),
    ]
    await store.commit(removals)
    left = store.load()
    assert (left.drives, left.groups, left.authorities, left.blocked) == ([], [DEFAULT], [], [])
    await store.commit([DRIVE, Removal(Drive, DRIVE.serial), replace(DRIVE, firmware="99ZZ")])
    assert store.load().drives == [replace(DRIVE, firmware="99ZZ")]


@pytest.mark.parametrize(
    "bad",
    [
        replace(make_key(2), alias=KEY.alias.lower()),
        replace(make_key(2), dki=KEY.dki),
        replace(make_key(2), group="nowhere"),
        Removal(Group, "default"),
        make_record("\udcff"),
        Setting("huge", 2**70),  # type: ignore[arg-type]
        Setting("kind", b"bytes"),  # type: ignore[arg-type]
        "no change at all",
    ],
    ids=[
        "alias in another case",
        "same DKi",
        "unknown group",
        "group in use",
        "surrogate",
        "huge",
        "kind",
        "str",
    ],
)
async def test_a_bad_unit_harms_only_itself(
    store: Store, failures: Failures, caplog: pytest.LogCaptureFixture, bad: Change
) -> None:
    await store.commit([KEY])
    units: list[list[Change]] = [[make_record(str(number)), Setting(str(number), "x")] for number in range(7)]
    units.insert(3, [make_record("bad"), Setting("bad", "x"), bad])
    with caplog.at_level(logging.ERROR):
        results = await store.submit(units)
    assert [type(result) for result in results] == [type(None)] * 3 + [Incident] + [type(None)] * 4
    assert isinstance(results[3], Incident)
    assert results[3].details["incident"] in caplog.text
    assert [item.record.message for item in store.iterate_audit()] == list("0123456")
    assert sorted(store.load().settings) == list("0123456")
    verify(list(store.iterate_audit()))
    assert failures == []


async def test_what_was_refused_shows_no_value_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await store.commit([make_key(1)])
    with pytest.raises(Incident):
        await store.commit([replace(make_key(2), dki=make_key(1).dki, sealed=b"CANARY" * 10)])
    assert "CANARY" not in caplog.text
    assert "incident" in caplog.text


async def test_the_units_of_all_who_wait_end_in_one_transaction(store: Store) -> None:
    callers = [store.submit([[make_record(f"{caller}.{unit}")] for unit in range(3)]) for caller in range(40)]
    results = await asyncio.gather(*callers)
    assert results == [[None] * 3] * 40
    commits = verify(list(store.iterate_audit()))
    assert store.audit_count() == 120
    assert commits <= 4, "the first may go alone, the others wait for it together"


async def test_a_caller_that_gives_up_disturbs_nobody(store: Store) -> None:
    gone = store.submit([[make_record("gone")]])
    gone.cancel()
    await store.commit([make_record("here")])
    assert [item.record.message for item in store.iterate_audit()] == ["gone", "here"]


async def test_the_trail_goes_on_where_the_last_process_ended(path: Path, store: Store) -> None:
    await store.commit([make_record("one")])
    store.close()
    again = Store.open(path, unlock)
    again.start(SIGNER.sign, print)
    await again.commit([make_record("two")])
    assert verify(list(again.iterate_audit())) == 2
    again.close()


async def test_closing_commits_what_waits_and_later_units_are_refused(path: Path, store: Store) -> None:
    waiting = store.submit([[Setting("late", "but in time")]])
    store.close()
    assert await waiting == [None]
    with pytest.raises(StoreFailed):
        await store.commit([Setting("too", "late")])
    again = Store.open(path, unlock)
    assert again.load().settings == {"late": "but in time"}
    again.close()


async def test_pages_of_the_trail_are_filtered_and_go_both_ways(store: Store) -> None:
    for number in range(10):
        outcome = Outcome.FAILURE if number % 5 == 0 else Outcome.SUCCESS
        record = replace(make_record(str(number)), outcome=outcome, time_us=number, volser=f"V{number % 2}")
        await store.commit([replace(record, drive_serial=f"D{number % 3}")])

    def said(**options: object) -> str:
        after, limit = int(options.pop("after", 0)), int(options.pop("limit", 100))  # type: ignore[call-overload]
        page = store.audit_page(after, limit, **options)  # type: ignore[arg-type]
        return "".join(item.record.message for item in page)

    assert said() == "0123456789"
    assert said(after=3, limit=4) == "3456"
    assert said(newest_first=True, limit=3) == "987"
    assert said(newest_first=True, after=8, limit=3) == "654"
    assert said(failed=True) == "05"
    assert said(drive_serial="D1") == "147"
    assert said(volser="V0", since_us=4) == "468"
    assert store.audit_head().sequence == store.audit_count() == 10


async def test_uses_of_keys_are_found_by_cartridge_and_by_key(store: Store) -> None:
    uses = [Cartridge(f"V{number % 2}", f"A{number % 3}", "D", b"", number) for number in range(6)]
    await store.commit(uses)
    assert [(row - FIRST) // STEP for row, _ in store.cartridges_page(FIRST + 2 * STEP, 3)] == [3, 4, 5]
    assert [use.write_time_us for _, use in store.cartridges_page(0, 9, volser="V1")] == [1, 3, 5]
    assert [use.write_time_us for _, use in store.cartridges_page(0, 9, volser="V1", alias="A2")] == [5]
    assert [(row - FIRST) // STEP for row, _ in store.cartridges_page(0, 3, newest_first=True)] == [6, 5, 4]
    page = store.cartridges_page(FIRST + 4 * STEP, 3, newest_first=True)
    assert [(row - FIRST) // STEP for row, _ in page] == [3, 2, 1]
    page = store.cartridges_page(FIRST + 5 * STEP, 9, alias="A0", newest_first=True)
    assert [(row - FIRST) // STEP for row, _ in page] == [4, 1]


def test_a_second_process_is_refused_and_told_who_has_the_store(path: Path) -> None:
    store = Store.open(path, unlock)
    program = (
        "import sys, pathlib, qekm.store, qekm.errors\n"
        "try: qekm.store.Store.open(pathlib.Path(sys.argv[1]), lambda locked: None)\n"
        "except qekm.errors.StoreInUse as error: print(error.details['pid'])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) == os.getpid()
    with pytest.raises(StoreInUse):
        Store.open(path, unlock)
    with pytest.raises(StoreInUse):
        Store.create(path, ESTATE, RING.seals, [])
    store.close()
    Store.open(path, unlock).close()


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = create(tmp_path)
        path.chmod(0o644)
        store = Store.open(path, unlock)
        store.load()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {"qekm.db": 0o600, "qekm.db-wal": 0o600, "qekm.db-shm": 0o600, "lock": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_store_is_made_once_and_needed_before_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised):
        Store.open(tmp_path / "store" / "qekm.db", unlock)
    path = create(tmp_path)
    with pytest.raises(HomeExists):
        create(tmp_path)
    Store.open(path, unlock).close()


def test_a_store_that_cannot_be_made_leaves_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed):
        create(tmp_path, replace(make_key(1), group="nowhere"))
    with pytest.raises(NotInitialised):
        Store.open(tmp_path / "store" / "qekm.db", unlock)
    Store.open(create(tmp_path), unlock).close()


def _cut_off(path: Path) -> None:
    os.truncate(path, 100)


def _overwrite(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [_cut_off, _overwrite, _empty])
def test_a_file_that_is_no_store_is_called_damaged(path: Path, harm: Callable[[Path], None]) -> None:
    harm(path)
    with pytest.raises(StoreDamaged):
        Store.open(path, unlock)


def test_a_hundred_thousand_keys_are_read_in_about_a_second(tmp_path: Path) -> None:
    store = Store.open(create(tmp_path, *map(make_key, range(100_000))), unlock)
    start = time.process_time()
    keys = store.load().keys
    used = time.process_time() - start
    store.close()
    assert [keys[0], keys[-1], len(keys)] == [make_key(0), make_key(99_999), 100_000]
    assert used < 2.0  # 0.5 s where it was measured; a row per object of an ORM takes ten times that


async def test_a_look_sees_what_is_only_in_the_log_and_writes_nothing(
    path: Path, store: Store, tmp_path: Path
) -> None:
    await store.commit([make_record("in the log")])
    killed = tmp_path / "killed" / path.name
    killed.parent.mkdir()
    for file in (path, path.with_name("qekm.db-wal")):
        shutil.copy(file, killed.parent)
    before = {file.name: file.read_bytes() for file in killed.parent.iterdir()}
    with Store.looked_at(killed) as reader:
        assert [item.record.message for item in reader.iterate_audit()] == ["in the log"]
        with pytest.raises(StoreInUse):
            Store.open(killed, unlock)
    after = {name: (killed.parent / name).read_bytes() for name in before}
    assert after == before


def test_a_look_at_a_closed_store_leaves_no_file_behind(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with Store.looked_at(path) as reader:
        assert reader.estate_id == ESTATE
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_what_the_file_system_refuses_is_a_failure_of_the_store(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed):
        Store.create(tmp_path / "file" / "qekm.db", ESTATE, RING.seals, [])
    lock = path.with_name("lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "file")
    with pytest.raises(StoreFailed):
        Store.open(path, unlock)
    assert (tmp_path / "file").read_bytes() == b"", "a link is not followed"


def test_a_trail_that_steps_back_is_damage_and_not_endless(tmp_path: Path) -> None:
    path = create(tmp_path, make_record("one"), make_record("two"))
    with Store.looked_at(path) as reader:
        page = reader.audit_page(0, 10)
        reader.audit_page = lambda after, limit: page  # type: ignore[method-assign]  # as a damaged page answers
        with pytest.raises(StoreDamaged, match="audit record 1 follows 2"):
            list(reader.iterate_audit())
