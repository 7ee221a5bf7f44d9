"""A hardened process leaves no core file and lets no other process look into it."""

from __future__ import annotations

import subprocess
import sys

ASK = """
import ctypes, resource
PR_GET_DUMPABLE = 3
def state():
    return ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)
before = state()
from qekm.hardening import harden
assert state() == before, "importing changes nothing"
harden()
print(before[0], *state())
"""


def test_a_hardened_process_can_be_neither_dumped_nor_looked_into() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout == "1 0 (0, 0)\n"
