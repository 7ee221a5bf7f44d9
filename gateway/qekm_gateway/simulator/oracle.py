"""The drives' own book of keys: which key was installed for which mount, kept apart from the key manager.

One line per installed key: alias,SHA-256 of the key in hex,mount id in hex,volser. The hash of a random
key tells nothing of it. The book judges whether a key manager that was killed lost a key or gave one twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.keys import InstalledKey


def recorder(path: Path) -> Callable[[InstalledKey, Errand], None]:
    """Return what appends a line to the book, on disk before it returns; processes may share a book."""

    def record(key: InstalledKey, errand: Errand) -> None:
        digest = sha256(key.material).hexdigest()
        line = f"{key.alias},{digest},{errand.mount_id.hex()},{errand.volser}\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    return record
