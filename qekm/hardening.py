"""What a process that holds keys asks of Linux for itself."""

from __future__ import annotations

import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_ALL_ONCE_TOUCHED = 1 | 2 | 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT: bits/mman-linux.h


def harden() -> None:
    """Leave no memory of this process on a disk: no core file, no look into it, no swap where allowed.

    Memory is locked only where RLIMIT_MEMLOCK is unlimited: below that, an allocation would fail one day.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        libc.mlockall(_ALL_ONCE_TOUCHED)
