"""Tombstones: which keys were destroyed, kept outside of the store, so that no older copy brings one back.

A file beside the anchor and one among the backups, a line of JSON for each key:

    {"key_id": "8f0c…", "alias": "QKM00…", "time_us": 1800000000000000, "mac": "51ab…"}

The MAC is made with a key derived from the root key, over the estate and all fields: nobody without that can
have a key destroyed that was not. That a line was taken away cannot be told; a restore asks every file.
"""

from __future__ import annotations

import errno
import hmac
import json
import logging
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qekm.durable import sync_directory
from qekm.errors import StoreFailed
from qekm.model import Key
from qekm.sealing.seals import Seals

_log = logging.getLogger(__name__)

NAME = "tombstones"  # of the file, in whatever directory
_LONGEST = 512  # bytes of a line; what is longer is none of ours
_FIELDS = {"key_id": str, "alias": str, "time_us": int, "mac": str}


def line_of(key: Key, seals: Seals, estate_id: bytes) -> bytes:
    """Return the line of a destroyed key, with its end."""
    mac = _mac(seals, estate_id, key.key_id, key.alias, key.destroy_time_us)
    fields = {
        "key_id": key.key_id.hex(),
        "alias": key.alias,
        "time_us": key.destroy_time_us,
        "mac": mac.hex(),
    }
    return json.dumps(fields).encode() + b"\n"


def parse_line(line: bytes, seals: Seals, estate_id: bytes) -> bytes | None:
    """Return the id of the key that a line says is destroyed; None for a line that does not verify."""
    try:
        fields = json.loads(line)
        if {name: type(value) for name, value in fields.items()} != _FIELDS:
            return None
        key_id, mac = bytes.fromhex(fields["key_id"]), bytes.fromhex(fields["mac"])
        expected = _mac(seals, estate_id, key_id, fields["alias"], fields["time_us"])
    except (ValueError, AttributeError, RecursionError, struct.error):
        return None
    return key_id if hmac.compare_digest(mac, expected) else None


def read_tombstones(
    path: Path, seals: Seals, estate_id: bytes, tell: Callable[[str], None] = _log.warning
) -> set[bytes]:
    """Return the ids of the keys that a file says are destroyed; empty if there is none. StoreFailed.

    tell: called with the place of each line that does not verify. It is not believed.
    """
    found: set[bytes] = set()
    try:
        for number, line in enumerate(_lines(path), 1):
            key_id = parse_line(line, seals, estate_id)
            if key_id is not None:
                found.add(key_id)
            elif line.strip():
                tell(f"{path}, line {number}: this is no tombstone of this key manager")
    except OSError as error:
        raise StoreFailed(f"the tombstones {path} cannot be read: {error.strerror}") from None
    return found


def bury(path: Path, keys: Iterable[Key], seals: Seals, estate_id: bytes) -> int:
    """Write the lines of destroyed keys that a file lacks; return how many, durable. StoreFailed, OSError."""
    known = read_tombstones(path, seals, estate_id, lambda _told: None)
    lines = [line_of(key, seals, estate_id) for key in keys if key.key_id not in known]
    if not lines:
        return 0
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            file.write(b"\n")  # after a line that a crash cut off
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
    return len(lines)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, of a longer one its first bytes; nothing if there is none."""
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: PTH123, SIM115
    except FileNotFoundError:
        return
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file")  # a pipe would be waited for
        while line := file.readline(_LONGEST):
            yield line
            while not line.endswith(b"\n") and (line := file.readline(_LONGEST)):
                pass


def _mac(seals: Seals, estate_id: bytes, key_id: bytes, alias: str, time_us: int) -> bytes:
    return seals.root("tombstone", estate_id, key_id, alias, time_us)
