"""One process has a store; what a killed one left behind is waited for, for a while."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

from qekm.errors import StoreInUse
from qekm.store.lock import Lock

# It takes the lock, forks one that holds what was open as one does that is not yet another program, and dies.
LEAVES_ONE = """
import os, sys
from pathlib import Path
from qekm.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
os.kill(os.getpid(), 9)
"""


@contextmanager
def killed(path: Path, *, reaped: bool = True) -> Iterator[IO[bytes]]:
    """Have a process killed that leaves one behind, which holds the lock until what is given is closed."""
    words = [sys.executable, "-c", LEAVES_ONE, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with process.stdin:
            if reaped:
                assert process.wait() == -9
            else:
                state = Path(f"/proc/{process.pid}/stat")
                while state.read_text().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.01)
            yield process.stdin


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "not reaped"])
def test_the_lock_of_a_killed_process_is_had_once_what_it_left_behind_is_gone(
    tmp_path: Path, reaped: bool
) -> None:
    with killed(tmp_path / "lock", reaped=reaped) as left_behind:
        with pytest.raises(StoreInUse):
            Lock(tmp_path / "lock", patience_s=0)
        Timer(0.3, left_behind.close).start()
        with closing(Lock(tmp_path / "lock", patience_s=60)):
            pass


def test_it_is_waited_for_no_longer_than_for_a_while(tmp_path: Path) -> None:
    with killed(tmp_path / "lock"):
        begun = time.monotonic()
        with pytest.raises(StoreInUse, match=r"process [0-9]+ has the store"):
            Lock(tmp_path / "lock", patience_s=0.2)
        assert time.monotonic() - begun >= 0.2


def test_a_process_that_lives_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    with closing(Lock(tmp_path / "lock")), pytest.raises(StoreInUse):
        Lock(tmp_path / "lock", patience_s=60)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("told", ["", "x", "99999999999999999999"])
def test_whatever_the_file_tells_a_lock_that_is_held_is_not_had(tmp_path: Path, told: str) -> None:
    with closing(Lock(tmp_path / "lock")):
        (tmp_path / "lock").write_text(told)
        with pytest.raises(StoreInUse):
            Lock(tmp_path / "lock", patience_s=0.1)
