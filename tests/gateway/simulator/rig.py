"""What the simulator's tests play with: a drive, a played key manager, one session between them."""

from __future__ import annotations

import os
import time
from functools import cache

from qekm.dkp.codes import Ask
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome
from tests.fakes.key_manager import KeyManager, Played

SERIAL = "001300000392"
MOUNT = bytes(range(16))
CREATE = Errand(Ask.CREATE, volser="E01001L4", mount_id=MOUNT)


def now_us() -> int:
    """Tell the time."""
    return time.time_ns() // 1000


@cache
def authority() -> Authority:
    """Make one drive authority for all tests."""
    return make_authority(now_us())


@cache
def made_drive(serial: str = SERIAL, rsa_key: bool = False) -> Drive:
    """Make one drive for all tests; take `fresh_drive` to hold a key."""
    return make_drive(authority(), serial, now_us(), rsa_key=rsa_key)


def fresh_drive(serial: str = SERIAL, rsa_key: bool = False) -> Drive:
    """Copy a drive with its keys and nothing in volatile memory."""
    made = made_drive(serial, rsa_key)
    return Drive(made.serial, made.wwnn, made.signer, made.certificates, session_key=made.session_key)


def session(
    manager: KeyManager, drive: Drive, errand: Errand = CREATE, anchors: Anchors | None = None
) -> Session:
    """Begin nothing yet: a session that believes this key manager's key."""
    return Session(drive, errand, anchors or Anchors([manager.pin]), os.urandom, now_us)


def play(
    manager: KeyManager, drive: Drive, errand: Errand = CREATE, anchors: Anchors | None = None
) -> Outcome | None:
    """Play a session to its end, frame by frame; what it raises is raised."""
    asking, played = session(manager, drive, errand, anchors), Played(manager)
    frame: bytes | None = asking.begin()
    while frame is not None:
        answer = played.answer(frame)
        if answer is None:
            break
        frame = asking.receive(answer)
    return asking.outcome
