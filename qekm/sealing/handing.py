"""A key ring handed to a process of our own: through a pipe that nobody else has, and through nothing else.

An argument or a variable could be read by others, a file would last. So both ends refuse any descriptor
that is no pipe.
"""

from __future__ import annotations

import os
import stat
import struct

from qekm.durable import write_all
from qekm.errors import BadConfiguration
from qekm.sealing.keyring import KeyRing
from qekm.secret import Secret

_PIECE = 65_536


def hand_over(ring: KeyRing, descriptor: int) -> None:
    """Write every derived key of a ring into a pipe; BadConfiguration for anything else, OSError."""
    with ring.serialize() as keys:
        hand_secret(keys, descriptor)


def hand_secret(secret: Secret, descriptor: int) -> None:
    """Write a secret into a pipe and nothing after it; BadConfiguration for anything else, OSError."""
    _check_pipe(descriptor)
    write_all(descriptor, secret.reveal())


def take_over(descriptor: int) -> KeyRing:
    """Read a ring from a pipe up to its end; BadConfiguration if it is no pipe, or no ring came."""
    try:
        with take_secret(descriptor) as keys:
            return KeyRing.parse(keys)
    except (ValueError, IndexError, struct.error, OSError):
        raise BadConfiguration("no key ring came through the pipe") from None


def take_secret(descriptor: int) -> Secret:
    """Read a secret from a pipe up to its end; BadConfiguration if it is no pipe, OSError."""
    _check_pipe(descriptor)
    content = bytearray()
    while part := os.read(descriptor, _PIECE):
        content += part
    taken = Secret(content)
    content[:] = bytes(len(content))
    return taken


def _check_pipe(descriptor: int) -> None:
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        raise BadConfiguration("secrets are handed over through a pipe only")
