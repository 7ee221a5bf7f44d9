"""The audit log holds what the trail holds, as far as its size goes, whatever happens to file and process."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import StoreFailed
from qekm.logs.audit_log import AuditLog
from qekm.logs.record import Told, text_of
from qekm.model import AuditRecord, Outcome
from qekm.store import GENESIS, Head, Link, Store
from tests.ordinary import python_as_ordinary
from tests.qekm.logs.reading import records_of, sequences
from tests.qekm.store.material import SIGNER, create, make_record, unlock

SIZE = 64_000


class Trail:
    """A trail in memory; another test uses the store's."""

    def __init__(self, count: int = 0, start_us: int = 1_000_000) -> None:
        self.records: list[AuditRecord] = []
        self.asked = 0
        self.broken = False
        self.grow(count, start_us)

    def grow(self, count: int, start_us: int = 1_000_000) -> tuple[int, list[AuditRecord]]:
        """Chain so many records more and return them as a commit does."""
        first = len(self.records) + 1
        new = [
            replace(make_record(f"number {number}"), time_us=start_us + number)
            for number in range(first, first + count)
        ]
        self.records += new
        return first, new

    def audit_head(self) -> Head:
        """Return the head."""
        if self.broken:
            raise StoreFailed("the disk is gone")
        return Head(len(self.records), GENESIS)

    def audit_page(self, after_sequence: int, limit: int) -> list[Link]:
        """Return links."""
        self.asked += 1
        if self.broken:
            raise StoreFailed("the disk is gone")
        page = self.records[after_sequence : after_sequence + limit]
        return [Link(place, record, GENESIS, None) for place, record in enumerate(page, after_sequence + 1)]


def log_of(
    path: Path,
    trail: Trail | Store,
    size: int = SIZE,
    wanted: Callable[[AuditRecord], bool] = lambda _record: True,
) -> AuditLog:
    """Return the log of a fresh process."""
    return AuditLog(path, size, trail, wanted, {"001300000392": "IBM"}.get.__call__)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keymanager" / "audit" / "kms_audit.log"


def test_what_was_committed_before_the_log_began_is_written_first(path: Path) -> None:
    trail = Trail(700)
    log_of(path, trail, 10**7).take([trail.grow(2)])
    assert sequences(path) == list(range(1, 703))
    assert trail.asked == 3


def test_batch_after_batch_nothing_is_read_from_the_trail(path: Path) -> None:
    trail = Trail()
    log = log_of(path, trail)
    for _ in range(10):
        log.take([trail.grow(3), trail.grow(1)])
    assert sequences(path) == list(range(1, 41))
    assert trail.asked == 0


def test_the_log_of_a_long_trail_holds_its_newest_records_and_says_so(path: Path) -> None:
    trail = Trail(5_000)
    log_of(path, trail).take([trail.grow(1)])
    kept = sequences(path)
    assert kept == list(range(kept[0], 5_002))
    assert 150 < len(kept) <= SIZE // 200
    assert sum(each.stat().st_size for each in path.parent.iterdir()) <= SIZE


@pytest.mark.parametrize("cut", [0, 1, 17, 60, 200, 317, 318, 1_000])
def test_a_killed_process_leaves_no_gap_and_nothing_twice(path: Path, cut: int) -> None:
    """Whatever of the last writes got into the file."""
    trail = Trail()
    log_of(path, trail).take([trail.grow(20)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    trail.grow(5)
    log_of(path, trail).take([trail.grow(1)])
    assert sequences(path) == list(range(1, 27))
    assert "log.gap" not in path.read_text()


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["commit", "lose", "kill", "tear", "delete", "full", "restart"]),
            st.integers(1, 40),
        ),
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_whatever_happens_the_records_in_it_are_those_of_the_trail_in_order_once(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "audit" / "kms_audit.log"
    trail = Trail(3)
    log = log_of(path, trail, 10**7)
    deleted_at = 0
    for act, number in acts:
        if act == "commit":
            log.take([trail.grow(number)])
        elif act == "lose":
            trail.grow(number)  # the queue had no room
            log.missed(number)
        elif act in ("kill", "tear", "restart"):
            trail.grow(number if act != "restart" else 0)
            if act == "tear" and path.exists():
                path.write_bytes(path.read_bytes()[:-number])
            log = log_of(path, trail, 10**7)
        elif act == "delete":
            path.unlink(missing_ok=True)
            path.with_name("kms_audit.log.1").unlink(missing_ok=True)
            deleted_at = len(trail.records)
        else:
            trail.broken = True
            trail.grow(number)
            with pytest.raises(OSError, match="the disk is gone"):
                log_of(path, trail, 10**7).take([trail.grow(2)])
            trail.broken = False
    log.take([trail.grow(1)])
    kept = sequences(path)
    assert kept == sorted(set(kept))
    assert kept[-1] == len(trail.records)
    assert kept[0] <= deleted_at + 1
    assert kept == list(range(kept[0], kept[-1] + 1))
    for each in records_of(path.read_bytes()):
        if "sequence" in each:
            assert each["message"] == f"number {each['sequence']}"


class Forgetful(AuditLog):
    """A broken one: it believes that it has been told of everything."""

    def _catch_up(self, last: int) -> None:
        self._last = max(self._last, last)


class Credulous(AuditLog):
    """A broken one: it does not look into its file."""

    def _found(self) -> int:
        return 0


@pytest.mark.parametrize("kind", [AuditLog, Forgetful, Credulous])
def test_a_log_that_does_not_catch_up_or_look_is_found_out(path: Path, kind: type[AuditLog]) -> None:
    """The control of what this module and tests/system/test_logs.py look for."""
    trail = Trail()
    for _ in range(3):
        kind(path, SIZE, trail, lambda _record: True, lambda _serial: "").take([trail.grow(3)])
        trail.grow(2)
    kept = sequences(path)
    whole = kept == list(range(1, 14))
    assert whole == (kind is AuditLog), kept


def test_an_ordinary_user_who_may_not_write_the_file_is_told_so(path: Path) -> None:
    log_of(path, Trail()).take([Trail().grow(2)])
    before = path.read_bytes()
    code = f"""
from pathlib import Path
from tests.qekm.logs.test_audit_log import Trail, log_of
path = Path({str(path)!r})
try:
    path.read_bytes()
except PermissionError:
    print("unreadable")
trail = Trail()
try:
    log_of(path, trail).take([trail.grow(1)])
except OSError as error:
    print(error.strerror)
"""
    if os.geteuid() != 0:
        path.parent.chmod(0)
    assert python_as_ordinary(code).split("\n") == ["unreadable", "Permission denied", ""]
    path.parent.chmod(0o700)
    assert path.read_bytes() == before


def test_while_the_disk_is_full_nothing_is_lost_and_the_file_tells_of_it_once(path: Path) -> None:
    trail = Trail()
    log = log_of(path, trail)
    log.take([trail.grow(3)])
    path.unlink()
    path.mkdir()  # nothing can be written there, whoever we are
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            log.take([trail.grow(2)])
    path.rmdir()
    log.take([trail.grow(1)])
    told = records_of(path.read_bytes())
    assert [each["action"] for each in told].count("log.resume") == 1
    assert told[0]["action"] == "log.resume"
    assert "Is a directory" in told[0]["message"]
    assert "sequence" not in told[0]
    assert sequences(path) == list(range(4, 11))


def test_after_an_outage_that_left_more_out_than_fits_the_file_says_what_is_missing(path: Path) -> None:
    trail = Trail()
    log = log_of(path, trail)
    log.take([trail.grow(10)])
    trail.grow(3_000)
    log.missed(3_000)
    gaps = [each for each in records_of(path.read_bytes()) if each["action"] == "log.gap"]
    before = path.with_name("kms_audit.log.1").read_bytes()
    gaps += [each for each in records_of(before) if each["action"] == "log.gap"]
    kept = sequences(path)
    assert kept[-1] == 3_010
    first = next(place for place in kept if place > 10)
    assert not gaps or gaps[0]["message"].startswith(f"records 11 to {first - 1} are not in this file")


def test_a_trail_that_cannot_be_read_is_an_error_of_the_log_and_no_more(path: Path) -> None:
    trail = Trail(5)
    trail.broken = True
    with pytest.raises(OSError, match="the disk is gone") as raised:
        log_of(path, trail).take([(6, [make_record("x")])])
    assert raised.value.errno == errno.EIO


def test_after_a_restore_the_log_tells_that_another_trail_follows(path: Path) -> None:
    trail = Trail()
    log_of(path, trail).take([trail.grow(20)])
    del trail.records[12:]  # a backup of then
    log = log_of(path, trail)
    log.take([trail.grow(4, 9_000_000)])
    kept = sequences(path)
    assert kept == [*range(1, 21), *range(13, 17)]
    (note,) = [each for each in records_of(path.read_bytes()) if each["action"] == "log.other"]
    assert "up to record 12" in note["message"]
    log_of(path, trail).take([trail.grow(1, 9_000_000)])
    assert sequences(path) == [*kept, 17]
    assert path.read_text().count("log.other") == 1


def test_only_what_is_wanted_is_written(path: Path) -> None:
    trail = Trail()
    log = log_of(path, trail, wanted=lambda record: record.outcome is Outcome.FAILURE)
    trail.records += [make_record("good"), replace(make_record("bad"), outcome=Outcome.FAILURE)]
    log.take([(1, trail.records)])
    assert sequences(path) == [2]


def test_the_vendor_of_a_drive_is_told(path: Path) -> None:
    trail = Trail()
    trail.records.append(make_record("", drive_serial="001300000392"))
    log_of(path, trail).take([(1, trail.records)])
    assert records_of(path.read_bytes())[0]["drive vendor"] == "IBM"


def test_a_log_of_the_original_is_continued_not_overwritten(path: Path) -> None:
    path.parent.mkdir(parents=True)
    original = "Runtime event:[\r\n  timestamp=Tue Feb 20 09:18:07 CST 2007\r\n  sequence=x\r\n  ]\r\n"
    path.write_text(original, newline="")
    trail = Trail(2)
    log_of(path, trail).take([trail.grow(1)])
    content = path.read_bytes()
    assert content.startswith(original.encode())
    written = content[len(original) :]
    assert written == b"".join(text_of(Told(n, record)) for n, record in enumerate(trail.records, 1))


async def test_the_writer_of_the_store_tells_of_records_once_they_are_durable(tmp_path: Path) -> None:
    """With their places in the trail, unit by unit as they were committed; refused ones have none."""
    path = create(tmp_path)
    store = Store.open(path, unlock)
    told: list[tuple[int, list[AuditRecord], int]] = []

    def committed(first: int, records: list[AuditRecord]) -> None:
        told.append((first, list(records), store.audit_head().sequence))  # asked on another connection

    store.committed = committed  # type: ignore[assignment]
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([make_record("a"), make_record("b")])
    bad = replace(make_record("refused"), time_us=2**70)
    results = await store.submit([[make_record("c")], [bad], [make_record("d")]])
    assert [type(error) for error in results].count(type(None)) == 2
    await store.commit([])
    store.close()
    with Store.looked_at(path) as reader:
        links = [(link.sequence, link.record) for link in reader.iterate_audit()]
    flat = [(first + place, record) for first, records, _ in told for place, record in enumerate(records)]
    assert flat == links
    assert [record.message for _, record in flat] == ["a", "b", "c", "d"]
    assert all(first + len(records) - 1 <= head for first, records, head in told)


async def test_logs_that_fail_do_not_make_a_commit_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = create(tmp_path)
    store = Store.open(path, unlock)

    def committed(first: int, records: object) -> None:
        raise RuntimeError("a defect of a log")

    store.committed = committed
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([make_record("a")])
    await store.commit([make_record("b")])
    assert await asyncio.to_thread(lambda: store.audit_head().sequence) == 2
    store.close()
    assert "could not be told" in caplog.text


async def test_a_real_trail_is_caught_up_with(tmp_path: Path, path: Path) -> None:
    store = Store.open(create(tmp_path), unlock)
    store.start(SIGNER.sign, lambda _error: None)
    for number in range(40):
        await store.commit([make_record(str(number)), make_record(str(number))])
    log_of(path, store).take([(81, [make_record("next")])])
    store.close()
    assert sequences(path) == list(range(1, 82))
