"""One system call that fails, once: the next one would succeed, and must not be tried.

strace answers the n-th write or sync of the store's files with an error in the kernel's place.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.report import Report
from tests.faults.store_evidence import Worker, lost
from tests.qekm.store.material import create

SYNCS, WRITES = "fsync,fdatasync", "pwrite64"


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(
    ("file", "calls", "number"),
    [
        *[("qekm.db-wal", SYNCS, number) for number in (1, 2, 9, 30)],
        *[("qekm.db-wal", WRITES, number) for number in (1, 2, 7, 40)],
        ("qekm.db", SYNCS, 1),  # of a checkpoint, which SQLite by itself would not report
        ("qekm.db", WRITES, 1),
    ],
)
def test_the_first_error_is_the_end(
    tmp_path: Path, strace: str, report: Report, file: str, calls: str, number: int, error: str
) -> None:
    path = create(tmp_path)
    inject = f"inject={calls}:error={error}:when={number}"
    under = (strace, "-f", "-qq", "-o", "/dev/null", "-P", str(path.with_name(file)))
    with Worker(path, "honest", tmp_path, *under, "-e", f"trace={calls}", "-e", inject) as worker:
        assert "nothing more is written" in worker.errors()
        assert worker.process.returncode == 3, "it ends by itself, as its on_failure says"
    gone = lost(path, worker.promises())
    report.tried("I/O errors", "the first error of a bare store is its end", 1, detected=1, lost=len(gone))
    assert gone == []
