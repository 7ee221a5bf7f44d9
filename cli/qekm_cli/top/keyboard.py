"""Single keys from a terminal, while nothing else is read from it."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIT = frozenset(b"qQ\x1b\x04")  # escape and end of input, too


@contextmanager
def unbuffered() -> Iterator[None]:
    """Have keys come as they are struck, unseen, for the block; nothing where there is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def wait(seconds: float) -> bool:
    """Wait, and tell whether meanwhile somebody wanted to leave."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            struck = os.read(sys.stdin.fileno(), 64)
            return not struck or bool(QUIT.intersection(struck[:1]))
    return False
