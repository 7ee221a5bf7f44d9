"""Named places at which a test has the program fail: QEKM_FAILPOINT=NAME=ACTION[@N] in the environment.

ACTION: exit (as kill -9 would), eio, enospc, or delay (0.2 s each time); @N: only the N-th time (default 1).
Without the variable, which no user sets, a failpoint is a call that returns.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable

VARIABLE = "QEKM_FAILPOINT"
ACTIONS = ("exit", "eio", "enospc", "delay")
DELAY_S = 0.2
# Every place there is: tests/faults goes through all of them, and a test compares this with the code.
NAMES = (
    "commit.before",
    "commit.after",
    "anchor.after",
    "checkpoint.before",
    "checkpoint.after",
    "peer.before",
    "peer.after",
    "answer.before",
    "backup.before",
    "backup.written",
    "backup.renamed",
    "backup.verified",
    "ready.before",
    "rotate.batch",
    "restore.installing",
    "restore.installed",
    "migrate.copied",
    "migrate.installing",
    "destroy.before",
    "export.before",
    "import.before",
)


def _of(text: str) -> Callable[[str], None]:
    """Return what every failpoint does in this process."""
    name, _, rest = text.partition("=")
    action, _, number = rest.partition("@")
    if name not in NAMES or action not in ACTIONS:
        return lambda _name: None
    left = [int(number or 1)]

    def reach(reached: str) -> None:
        if reached != name:
            return
        if action == "delay":
            time.sleep(DELAY_S)
            return
        left[0] -= 1
        if left[0] != 0:
            return
        if action == "exit":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EIO if action == "eio" else errno.ENOSPC, f"failpoint {name}")

    return reach


failpoint: Callable[[str], None] = _of(os.environ.get(VARIABLE, ""))
"""Fail here if the environment of this process says so; OSError, or the end of the process."""
