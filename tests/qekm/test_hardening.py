"""What a hardened process lets out: asked of the kernel, in processes of their own."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from qekm.hardening import harden
if {limit}:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, ({limit}, {limit}))
harden()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(resource.getrlimit(resource.RLIMIT_CORE)[0], int(status["VmLck"].split()[0]) > 0)
"""


def _told(limit: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(limit=limit)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_no_core_is_left_and_no_memory_is_locked_under_a_limit() -> None:
    assert _told(8 * 1024 * 1024) == "0 False"


def test_memory_is_locked_where_that_is_unlimited() -> None:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY:
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, PermissionError):
            pytest.skip("RLIMIT_MEMLOCK cannot be raised here")
    assert _told(-1) == "0 True"
