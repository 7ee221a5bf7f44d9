"""Junk for the drives' port: what a connection sends that no client would, made before it is needed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.dkp.material import GOOD, raw, required

# Who the junk pretends to be: serial and WWNN of message 01 as it is made here.
SERIAL, WWNN = GOOD[0x0101].decode(), GOOD[0x0102]
ERRORS = 16  # end a connection (docs/protocol.md, section 6)
_SERVICE_SHARE = 0.12  # of the frames that leave a connection open: so many reach the service
_SINGLE_SHARE = 0.2  # of the connections: one frame that ends them


class Script(NamedTuple):
    """What one connection sends: how many frames that is, and what must come of it."""

    data: bytes
    frames: int
    errors: int  # ERROR frames that answer it
    refusals: int  # that the trail counts, but for sessions that nobody went on with (EE0E)
    hangs_up: bool = False  # the sender says that nothing more comes; else the gateway ends the connection


class Shot(NamedTuple):
    """Frames that belong together and end in one ERROR."""

    data: bytes
    frames: int = 1


Dice = random.Random
Maker = Callable[[Dice], Shot]


def _notify(flags: int = 0, session: int = 0, sequence: int = 1, **changed: bytes) -> bytes:
    """Return message 01 with TLVs exchanged; `tHHHH` names one."""
    given = dict(required(0x01)) | {int(name[1:], 16): value for name, value in changed.items()}
    return raw(0x01, sorted(given.items()), flags, session, sequence)


# Refused by the gateway itself; the connection stays.


def _out_of_turn(dice: Dice) -> Shot:
    kind = dice.choice([0x02, 0x04])
    return Shot(raw(kind, required(kind), 8, dice.getrandbits(64), dice.randrange(1, 9)))


def _unknown_type(dice: Dice) -> Shot:
    return Shot(raw(dice.choice([0x00, 0x05, 0x55, 0x90, 0xFE]), []))


def _servers_own(dice: Dice) -> Shot:
    kind = dice.choice([0x82, 0x83, 0x86, 0x87, 0xFF])
    return Shot(raw(kind, required(kind)))


def _wrong_session(dice: Dice) -> Shot:
    return Shot(_notify(session=dice.getrandbits(64) | 1))


def _wrong_sequence(dice: Dice) -> Shot:
    return Shot(raw(0x07, [], sequence=dice.randrange(2, 1 << 32)))


def _wrong_flags(dice: Dice) -> Shot:
    return Shot(_notify(flags=dice.choice([1, 2, 4, 8])))


def _wants_eedk(_dice: Dice) -> Shot:
    return Shot(_notify(t0108=b"kek"))


# Refused by the service; the connection stays.


def _unknown_drive(dice: Dice) -> Shot:
    return Shot(_notify(t0101=b"%016d" % dice.randrange(10**15), t0102=dice.randbytes(8)))


def _asks_nothing(dice: Dice) -> Shot:
    sense = bytearray(GOOD[0x0170])
    sense[12:14] = dice.choice([b"\x00\x00", b"\xef\x7f", b"\x74\x03"])
    return Shot(_notify(t0170=bytes(sense)))


def _honest_name(dice: Dice) -> Shot:
    """Open a session in the honest drive's name, which is no secret, and break it."""
    return Shot(_notify() + _out_of_turn(dice).data, 2)


# Refused by the gateway, which then ends the connection.


def _bad_magic(dice: Dice) -> Shot:
    data = bytearray(_notify())
    data[dice.randrange(5)] ^= 1 << dice.randrange(8)
    return Shot(bytes(data))


def _oversized(dice: Dice) -> Shot:
    length = dice.choice([4_097, 16_385, 1 << 20, 0xFFFFFFFF])
    return Shot(_notify()[:20] + length.to_bytes(4) + dice.randbytes(dice.randrange(64)))


def _overrun(dice: Dice) -> Shot:
    data = bytearray(_notify())
    data[26:28] = dice.randrange(200, 65_536).to_bytes(2)
    return Shot(bytes(data))


def _out_of_order(_dice: Dice) -> Shot:
    return Shot(raw(0x01, required(0x01)[::-1]))


def _noise(dice: Dice) -> Shot:
    return Shot(bytes((dice.choice([0, 0x47, 0x80, 0xFF]),)) + dice.randbytes(dice.randrange(400)))


LOCAL: Sequence[Maker] = (
    _out_of_turn,
    _unknown_type,
    _servers_own,
    _wrong_session,
    _wrong_sequence,
    _wrong_flags,
    _wants_eedk,
)
REMOTE: Sequence[Maker] = (_unknown_drive, _asks_nothing, _honest_name)
LAST: Sequence[Maker] = (_bad_magic, _oversized, _overrun, _out_of_order, _noise)


def make_scripts(dice: Dice, count: int) -> list[Script]:
    """Return so many connections' junk."""
    return [_single(dice) if dice.random() < _SINGLE_SHARE else _series(dice) for _ in range(count)]


def _series(dice: Dice) -> Script:
    """As many frames as a connection may have wrong; the last one may be of those that end it at once."""
    shots = [
        dice.choice(REMOTE if dice.random() < _SERVICE_SHARE else LOCAL)(dice) for _ in range(ERRORS - 1)
    ]
    shots.append(dice.choice([*LOCAL, *LAST])(dice))
    data = b"".join(shot.data for shot in shots)
    return Script(data, sum(shot.frames for shot in shots), ERRORS, ERRORS)


def _single(dice: Dice) -> Script:
    kind = dice.randrange(4)
    if kind == 0:  # what begins like TLS is answered by TLS alone
        return Script(b"\x16\x03\x01\x00\x40" + dice.randbytes(64), 1, 0, 1)
    if kind == 1:  # a part of a frame, and then nothing
        data = _notify()
        return Script(data[: dice.randrange(1, len(data))], 1, 0, 0, hangs_up=True)
    if kind == 2:  # a session that nobody goes on with
        return Script(_notify(), 1, 0, 0, hangs_up=True)
    return Script(dice.choice(LAST)(dice).data, 1, 1, 1)
