"""What a backup says of itself, readable by anybody who has the file: one JSON object in its one form.

Sorted names, no blanks, ASCII, whole numbers and hex: the same values have the same bytes, and other bytes
are refused. It is believed once the stream's key was unwrapped (cover.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from qekm.errors import BackupDamaged

LONGEST = 4_096  # bytes; one has about 600
_MOST = 1 << 63
_MOST_VERSIONS = 65_535  # of the record key: two bytes in each box
_SIZES = {"estate": 16, "root": 32, "audit_head": 32, "audit_key": 32}  # bytes
_PROGRAM_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Header:
    """Of which store a backup is a picture, and of which of its commits."""

    estate: bytes  # 16 bytes
    epoch: int
    sequence: int  # of the commit
    root: bytes  # the store root there, 32 bytes
    created_seq: int  # of its newest key
    key_count: int
    oldest: int  # versions of the record key in use: from this
    current: int  # to this
    audit_sequence: int  # of the trail's last record
    audit_head: bytes  # hash of that record, 32 bytes
    audit_key: bytes  # the trail's public key, Ed25519, 32 bytes
    create_time_us: int
    program: str  # version of the program

    @property
    def name(self) -> str:
        """Return the name of the backup's file."""
        return f"{prefix_of(self.estate)}e{self.epoch}-{self.sequence}.qbk"

    def serialize(self) -> bytes:
        """Return the header's bytes."""
        return _canonical({name: _plain(value) for name, value in asdict(self).items()})

    @classmethod
    def parse(cls, content: bytes) -> Header:
        """Return the header that bytes are; BackupDamaged."""
        try:
            found = json.loads(content.decode("ascii"))
            if not isinstance(found, dict) or _canonical(found) != content:
                raise ValueError("not in its one form")
            if found.keys() != {each.name for each in fields(cls)}:
                raise ValueError("not the fields of a header")
            values: dict[str, Any] = {name: _value(name, value) for name, value in found.items()}
            if not 1 <= values["oldest"] <= values["current"] <= _MOST_VERSIONS:
                raise ValueError("versions of the record key")
            return cls(**values)
        except (ValueError, RecursionError) as error:
            raise BackupDamaged("the backup's header cannot be read") from error


def prefix_of(estate: bytes) -> str:
    """Return what the names of an estate's backups begin with."""
    return f"qekm-{estate.hex()[:8]}-"


def _canonical(found: dict[str, Any]) -> bytes:
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


def _plain(value: int | str | bytes) -> int | str:
    return value.hex() if isinstance(value, bytes) else value


def _value(name: str, value: object) -> int | str | bytes:
    """Return a field's value from its JSON; ValueError."""
    if name == "program":
        if not isinstance(value, str) or not value.isprintable() or len(value) > _PROGRAM_LENGTH:
            raise ValueError(name)
        return value
    if name in _SIZES:
        if not isinstance(value, str) or len(raw := bytes.fromhex(value)) != _SIZES[name]:
            raise ValueError(name)
        if raw.hex() != value:
            raise ValueError(name)
        return raw
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(name)
    return value
