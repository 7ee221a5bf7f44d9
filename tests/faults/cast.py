"""The drives of every scene: made once in the process that all scenes are forked from, so that they last."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from qekm.clock import now_us
from qekm.store import schema
from qekm_gateway.simulator.authority import make_authority, make_drive

SERIALS = ("001300000392", "001310000363")
AUTHORITY = make_authority(now_us())
DRIVES = tuple(make_drive(AUTHORITY, serial, now_us()) for serial in SERIALS)
for _drive in DRIVES:
    _drive.current_session_key(now_us())  # takes 0.1 s
schema._made(schema.PRESENT)  # so does this
