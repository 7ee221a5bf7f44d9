"""Fields that many messages share: times, masks, fixed-length bytes, enum values."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from qekm.errors import BadArgument

E = TypeVar("E", bound=IntEnum)


def stamp(time_us: int) -> Timestamp | None:
    """Return a time in microseconds as a Timestamp; None (an absent field) for 0, which means never."""
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1_000) if time_us else None


def time_of(value: Timestamp, field: str) -> int:
    """Return a Timestamp in microseconds; BadArgument outside of the years 1970 to 9999."""
    if not (0 <= value.seconds <= 253_402_300_799 and 0 <= value.nanos <= 999_999_999):
        raise BadArgument(f"{field} is not a time between the years 1970 and 9999", field=field)
    return value.seconds * 1_000_000 + value.nanos // 1_000


def paths_of(mask: FieldMask, allowed: Collection[str]) -> frozenset[str]:
    """Return the paths of an update mask; BadArgument names the one that cannot be changed."""
    paths = frozenset(mask.paths)
    if not paths:
        raise BadArgument("update_mask names no field to change", field="update_mask")
    for path in sorted(paths - frozenset(allowed)):
        can = ", ".join(sorted(allowed))
        raise BadArgument(
            f"update_mask names {path!r}, which cannot be changed; these can: {can}", field=path
        )
    return paths


def chosen(kind: type[E], value: int, field: str, default: E | None = None) -> E:
    """Return an enum's value; `default` for 0, BadArgument for a number that means nothing here."""
    if not value and default is not None:
        return default
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(each.name for each in kind)
        raise BadArgument(f"{field} is {value}, which is none of {names}", field=field) from None


def one_line(value: str, field: str, most: int = 200) -> str:
    """Return text that fits one line of the audit trail; BadArgument else."""
    if len(value) > most or not value.isprintable():
        raise BadArgument(f"a {field} is one line of at most {most} characters", field=field)
    return value


def sized(value: bytes, lengths: Collection[int], field: str) -> bytes:
    """Return bytes of one of the lengths; BadArgument else."""
    if len(value) not in lengths:
        told = " or ".join(str(length) for length in lengths)
        raise BadArgument(f"{field} has {len(value)} bytes instead of {told}", field=field)
    return value
