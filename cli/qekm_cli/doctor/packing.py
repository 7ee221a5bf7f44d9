"""A bundle's file: members in their order, compressed, 0600, there whole or not at all."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from qekm_cli.outputs import new_file

FOLDER = "qekm-bundle"
_MODE = 0o600


def pack(output: Path, members: Mapping[str, bytes]) -> int:
    """Write a bundle and return its size; BadParameter if a file is there, OSError."""
    content = archive(members)
    with new_file(output.absolute(), force=False) as write:
        write(content)
    return len(content)


def archive(members: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a .tar.gz of these members: whoever packed it, and when, is not in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            told = tarfile.TarInfo(f"{FOLDER}/{name}")
            told.size, told.mode = len(content), _MODE
            tar.addfile(told, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)
