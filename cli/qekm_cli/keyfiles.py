"""The files that keys come in and go out in: which kind one is, and one kind's keys as plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from qekm.errors import BadArgument, BadFile

if TYPE_CHECKING:
    from qekm.secret import Secret

Format = Literal["cms", "jceks", "ltfs", "stenc"]
MOST_BYTES = 16 * 2**20  # of a file: 100,000 keys in CMS, the largest of them
_SIGNS: tuple[tuple[Format, re.Pattern[bytes]], ...] = (
    ("cms", re.compile(rb"\x30[\x80-\x84]")),
    ("jceks", re.compile(rb"\xce\xce\xce\xce|\xfe\xed\xfe\xed")),  # JKS, too: its error names the way out
    ("ltfs", re.compile(rb"\n*DK=")),
    ("stenc", re.compile(rb"[0-9A-Fa-f]{64}(\n|\Z)")),
)


class FileKey(NamedTuple):
    """A key of a file: its name there, its material, and its DKi where the file needs it."""

    alias: str
    material: Secret
    dki: bytes = b""


def detect(content: bytes) -> Format:
    """Return what kind of file this is by its first bytes; BadFile."""
    for name, sign in _SIGNS:
        if sign.match(content):
            return name
    raise BadFile(
        "the file is none that keys come in: an export of a key manager (CMS), a Java keystore (JCEKS), "
        "a key list of LTFS, or a key file of stenc",
        hint="if it is one of these, it is damaged",
    )


def read_ltfs(content: bytes) -> list[FileKey]:
    """Return the keys of LTFS's key list; BadFile."""
    from qekm.interchange import ltfs

    return [FileKey(key.alias, key.material) for key in ltfs.parse(content)]


def read_stenc(content: bytes) -> list[FileKey]:
    """Return the one key of stenc's key file, named by its description; BadFile."""
    from qekm.interchange import stenc

    key = stenc.parse(content)
    return [FileKey(key.description, key.material)]


def write_ltfs(keys: Sequence[FileKey]) -> bytes:
    """Return LTFS's key list, in clear; BadArgument for a key that LTFS cannot take."""
    from qekm.interchange import ltfs

    return ltfs.serialize(ltfs.TapeKey(key.dki, key.material) for key in keys)


def write_stenc(keys: Sequence[FileKey]) -> bytes:
    """Return stenc's key file, in clear; BadArgument unless it is one key."""
    from qekm.interchange import stenc

    if len(keys) != 1:
        raise BadArgument(f"a key file of stenc holds one key, not {len(keys)}", field="keys")
    return stenc.serialize(stenc.DescribedKey(keys[0].alias, keys[0].material))
