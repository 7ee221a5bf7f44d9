"""A disk whose write cache is lost with the power: a plugin for nbdkit (python).

What is written can be read back at once, but reaches the image file only when the disk is flushed. Killing
nbdkit is the power cut: the image file then holds what a disk would hold that had kept its cache in RAM.

QEKM_VOLUME_IMAGE  the image file, as large as the disk is to be
QEKM_VOLUME_FAULT  a file that may name a fault, read at every request: write-error, flush-error, or
                   flush-lie (a flush is answered and does nothing)
QEKM_VOLUME_TAPE   a file that takes every write and every flush, with the time (tape.py); none if not set
"""

import errno
import os
import struct
import time
from pathlib import Path
from typing import NoReturn

import nbdkit  # type: ignore[import-not-found]  # exists inside nbdkit only

API_VERSION = 2

_image = os.open(os.environ["QEKM_VOLUME_IMAGE"], os.O_RDWR)
_size = os.fstat(_image).st_size
_seen = bytearray(os.pread(_image, _size, 0))  # what a reader sees: everything written
_cache: list[tuple[int, bytes]] = []  # what the power cut takes: (offset, bytes) since the last flush
_entry = struct.Struct(">QQI")  # time in ns, offset (all ones: a flush), length; then the bytes
_name = os.environ.get("QEKM_VOLUME_TAPE")
_tape = os.open(_name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if _name else -1


def _note(offset: int, data: bytes = b"") -> None:
    if _tape >= 0:
        os.writev(_tape, [_entry.pack(time.monotonic_ns(), offset, len(data)), data])


def _fault_is(name: str) -> bool:
    """Tell whether the fault file names this fault now."""
    try:
        return Path(os.environ["QEKM_VOLUME_FAULT"]).read_text().strip() == name
    except FileNotFoundError:
        return False


def _fail(name: str) -> NoReturn:
    nbdkit.set_error(errno.EIO)
    raise OSError(errno.EIO, name)


def open(readonly: bool) -> int:
    """Open the disk: there is one, so its handle is anything."""
    return 1


def get_size(handle: int) -> int:
    """Return the size in bytes."""
    return _size


def can_flush(handle: int) -> bool:
    """Offer flushes, or nothing would ever be durable."""
    return True


def can_fua(handle: int) -> int:
    """Have nbdkit make a forced write of a write and a flush."""
    return int(nbdkit.FUA_EMULATE)


def pread(handle: int, buffer: bytearray, offset: int, flags: int) -> None:
    """Read what was written last."""
    buffer[:] = _seen[offset : offset + len(buffer)]


def pwrite(handle: int, buffer: bytearray, offset: int, flags: int) -> None:
    """Write to the cache."""
    if _fault_is("write-error"):
        _fail("write")
    data = bytes(buffer)
    _seen[offset : offset + len(data)] = data
    _cache.append((offset, data))
    _note(offset, data)


def flush(handle: int, flags: int) -> None:
    """Make the cache durable."""
    if _fault_is("flush-error"):
        _fail("flush")
    if _fault_is("flush-lie"):
        return
    for offset, data in _cache:
        os.pwrite(_image, data, offset)
    _cache.clear()
    _note((1 << 64) - 1)
