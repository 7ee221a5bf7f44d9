"""A log file is never larger than it may be, ends in a whole record, and is there again when it was taken."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.logs.rolling import RollingFile

ROOT = Path(__file__).parents[3]
BEGIN, END = b"Record:[", b"\n  ]\n"


def record(number: int, size: int = 40) -> bytes:
    """Return a record of so many bytes."""
    return BEGIN + f"\n  {number}".encode().ljust(size - len(BEGIN) - len(END), b".") + END


def make(path: Path, share: int = 200, predecessors: int = 1) -> RollingFile:
    """Return the file of a fresh process."""
    return RollingFile(path, share, predecessors, BEGIN, END)


def text(path: Path, predecessors: int = 1) -> bytes:
    """Return everything that is kept, the oldest first."""
    files = [path.with_name(f"{path.name}.{number}") for number in range(predecessors, 0, -1)] + [path]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_it_is_made_with_its_directory_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keymanager" / "audit" / "log"
    make(path).write([record(1)])
    assert path.read_bytes() == record(1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_could_read_is_taken_up_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(record(1))
    path.chmod(0o644)
    make(path).write([record(2)])
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (record(1) + record(2), 0o600)


@given(
    sizes=st.lists(st.integers(20, 200), min_size=1, max_size=60),
    predecessors=st.integers(1, 4),
    cuts=st.sets(st.integers(0, 59)),
)
@settings(max_examples=50, deadline=None)
def test_the_newest_records_are_kept_whole_within_the_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], predecessors: int, cuts: set[int]
) -> None:
    path = tmp_path_factory.mktemp("rolling") / "log"
    log = make(path, predecessors=predecessors)
    everything = b""
    pending: list[bytes] = []
    for number, size in enumerate(sizes):
        pending.append(record(number, size))
        everything += pending[-1]
        if number in cuts:
            log.write(pending)
            pending = []
            if number % 3 == 0:
                log.close()
                log = make(path, predecessors=predecessors)
    log.write(pending)
    kept = text(path, predecessors)
    assert everything.endswith(kept)
    assert kept.endswith(record(len(sizes) - 1, sizes[-1]))
    assert kept.startswith(BEGIN)
    assert len(kept) <= (predecessors + 1) * 200
    assert len(kept) == len(everything) or len(kept) > predecessors * 0.5 * 200  # no more goes than must


def test_with_records_that_fit_no_file_is_larger_than_its_share(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = make(path)
    for number in range(100):
        log.write([record(number), record(-number)])
        assert path.stat().st_size <= 200
        assert path.with_name("log.1").stat().st_size <= 200 if number > 2 else True
    assert not path.with_name("log.2").exists()


@pytest.mark.parametrize("how", ["deleted", "moved", "directory moved", "emptied"])
def test_what_is_taken_away_is_made_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "logs" / "log"
    log = make(path)
    log.write([record(1)])
    if how == "deleted":
        path.unlink()
    elif how == "moved":
        path.rename(tmp_path / "elsewhere")
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.parent.rename(tmp_path / "elsewhere")
    log.write([record(2)])
    assert path.read_bytes() == record(2)
    if how == "moved":
        assert (tmp_path / "elsewhere").read_bytes() == record(1)


@pytest.mark.parametrize("left", range(1, len(record(2))))
def test_what_a_crash_left_of_a_record_is_cut_off(tmp_path: Path, left: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(record(1) + record(2)[:left])
    make(path).write([record(3)])
    assert path.read_bytes() == record(1) + record(3)


def test_bytes_that_a_power_cut_left_unwritten_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(record(1) + record(2)[:11] + bytes(50))
    make(path).write([record(3)])
    assert path.read_bytes() == record(1) + record(3)


def test_what_is_none_of_ours_is_left_and_its_line_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a log of another program")
    make(path).write([record(1)])
    assert path.read_bytes() == b"a log of another program\n" + record(1)


def test_what_was_larger_before_is_cut_to_its_newest_records(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(map(record, range(20))))
    path.with_name("log.1").write_bytes(b"old")
    make(path).write([record(20)])
    assert path.read_bytes() == record(20)
    assert path.with_name("log.1").read_bytes() == b"".join(map(record, range(16, 20)))
    assert not path.with_name("log.1.cut").exists()


def test_a_link_or_pipe_of_that_name_is_not_written_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"Too many|No such device|not a regular"):
            make(tmp_path / name).write([record(1)])
    assert victim.read_bytes() == b""


def test_of_a_write_that_does_not_fit_on_the_disk_nothing_is_left(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from tests.qekm.logs.test_rolling import make, record
path = Path(sys.argv[1])
log = make(path, 10_000)
log.write([record(1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        log.write([record(2), record(3)])
    except OSError as error:
        print(error.errno, path.stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write([record(2), record(3)])
"""
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.split() == [str(errno.EFBIG), "40"] * 3, done.stderr
    assert path.read_bytes() == record(1) + record(2) + record(3)
