"""Data keys as messages, without their material."""

from __future__ import annotations

from qekm.api.fields import stamp
from qekm.model import Key
from qekm.v1 import keystore_pb2 as pb


def to_proto(key: Key) -> pb.Key:
    """Return a key as its message."""
    return pb.Key(
        alias=key.alias,
        dki=key.dki,
        state=pb.KeyState.ValueType(key.state),
        group=key.group,
        algorithm="AES-256",
        create_time=stamp(key.create_time_us),
        assign_time=stamp(key.assign_time_us),
        drive_serial=key.drive_serial,
        volser=key.volser,
        check_value=key.check_value,
        destroy_time=stamp(key.destroy_time_us),
    )
