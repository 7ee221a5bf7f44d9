"""What all the fakes share: their time, their pages, their keys."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from qekm.v1 import keystore_pb2

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z
ALIAS = "QKM00000000000000000{}"


def moment(seconds: int = 0) -> Timestamp:
    """Return a time of the fake's era."""
    return Timestamp(seconds=NOW + seconds, nanos=123_456_000)


def page_of(items: list[Any], request: Any) -> tuple[list[Any], str]:
    """Return one short page and the token of the next."""
    start = int(request.page_token or 0)
    end = start + (2 if len(items) < 100 else request.page_size)
    return items[start:end], str(end) if end < len(items) else ""


def key(number: int, **more: Any) -> keystore_pb2.Key:
    """Return the number-th key, READY unless said otherwise."""
    alias = ALIAS.format(number)
    fields: dict[str, Any] = {
        "alias": alias,
        "dki": alias[:3].encode() + bytes.fromhex(alias[3:]),
        "state": keystore_pb2.KEY_STATE_READY,
        "group": "default",
        "algorithm": "AES-256",
        "create_time": moment(),
        "check_value": bytes([number] * 4),
    }
    return keystore_pb2.Key(**{**fields, **more})
