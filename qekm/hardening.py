"""What a process that holds keys asks of Linux for itself."""

from __future__ import annotations

import os
import resource
import select
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4
_STDOUT = 1
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


def end_with_parent() -> None:
    """Have this process killed when the thread that started it ends, however that comes about.

    One that has ended before this is asked for left nobody at the other end of the pipe on standard output.
    """
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    heard = select.poll()
    heard.register(_STDOUT, 0)  # errors and the other end's close are told in any case
    if heard.poll(0):
        os.kill(os.getpid(), signal.SIGKILL)
