"""One process has a store; what a killed one left behind is waited for, for a while."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from qekm.errors import StoreInUse
from qekm.store.lock import Lock

# It takes the lock, forks one that holds what was open as one does that is not yet another program, and dies.
LEAVES_ONE = """
import os, sys, time
from pathlib import Path
from qekm.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
if os.fork() == 0:
    os.close(1)
    time.sleep(float(sys.argv[2]))
    os._exit(0)
os.kill(os.getpid(), 9)
"""


def killed(path: Path, holds_s: float) -> None:
    """Have a process killed that leaves another one behind, which holds the lock for so long."""
    done = subprocess.run([sys.executable, "-c", LEAVES_ONE, str(path), str(holds_s)], check=False)
    assert done.returncode == -9


def test_the_lock_of_a_killed_process_is_had_once_what_it_left_behind_is_gone(tmp_path: Path) -> None:
    killed(tmp_path / "lock", 2)
    begun = time.monotonic()
    with closing(Lock(tmp_path / "lock", patience_s=60)):
        assert time.monotonic() - begun > 0.1  # else nothing was waited for
    killed(tmp_path / "other", 20)
    with pytest.raises(StoreInUse):
        Lock(tmp_path / "other", patience_s=0)


def test_it_is_waited_for_no_longer_than_for_a_while(tmp_path: Path) -> None:
    killed(tmp_path / "lock", 20)
    begun = time.monotonic()
    with pytest.raises(StoreInUse, match=r"process [0-9]+ has the store"):
        Lock(tmp_path / "lock", patience_s=0.2)
    assert 0.2 <= time.monotonic() - begun < 15


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
