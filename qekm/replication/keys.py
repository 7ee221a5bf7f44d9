"""Two versions of one key as one: what either server knows of it, and nothing that either knows is lost.

Each part of a key only ever grows, in an order of its own, and `join` takes the greater of each. So it is the
same whoever joins with whom first, in whatever order, and however often: servers that have told each other
everything agree. Pure. docs/decisions/0020-keys-are-joined.md argues why.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm.keystore import versions
from qekm.model import Key, KeyState
from qekm.sealing.keyring import version_of

_S = KeyState
# How much a state says; nothing leads from a greater rank to a lesser one. ASSIGNED and SUSPECT follow upon
# each other, and there the later mount tells.
RANKS: Mapping[KeyState, int] = MappingProxyType(
    {
        _S.GENERATED: 0,
        _S.READY: 1,
        _S.QUARANTINED: 2,
        _S.ASSIGNED: 3,
        _S.SUSPECT: 3,
        _S.ACTIVE: 4,
        _S.PROCESS_ONLY: 5,
        _S.COMPROMISED: 6,
        _S.DESTROYED: 7,
    }
)
_GIVEN = RANKS[_S.ASSIGNED]

Use = tuple[int, str, bytes, str]  # time, drive serial, mount id, volser


def join(a: Key, b: Key) -> Key:
    """Return the key that two versions of it make together; they have the same key id.

    A destruction that is waited for holds unless it was called off, or the key was given out by a server that
    did not know of it: then a tape was written since, and the order was given for a key that had none.
    """
    if a == b:
        return a
    version = versions.latest(a.version, b.version)
    use = _joined_use(a, b)
    state = live(max(a, b, key=_life))
    due_us, former = max((_ending(each, version, use[0]) for each in (a, b)), default=0), 0
    made, sealed, check_value = _joined_material(a, b)
    if state is _S.DESTROYED:
        sealed = check_value = b""
        due_us = max(each.destroy_time_us for each in (a, b) if each.state is _S.DESTROYED)
    elif due_us:
        state, former = _S.DESTROY_PENDING, int(state)
    time_us, drive_serial, mount_id, volser = use
    group = max((versions.moves_of(each.version), each.group) for each in (a, b))[1]
    return Key(
        a.key_id,
        made.alias,
        made.dki,
        made.created_seq,
        made.create_time_us,
        made.epoch,
        sealed,
        check_value,
        group,
        state,
        version,
        time_us,
        drive_serial,
        volser,
        mount_id,
        due_us,
        former,
        made.origin,
    )


def live(key: Key) -> KeyState:
    """Return what a key is apart from a destruction that it waits for."""
    return KeyState(key.former) if key.state is _S.DESTROY_PENDING else key.state


def _life(key: Key) -> tuple[int, int, int]:
    state = live(key)
    rank = RANKS[state]
    return rank, key.assign_time_us if rank == _GIVEN else 0, int(state)


def _ending(key: Key, version: int, time_us: int) -> int:
    """Return when a key is to be destroyed, 0 for a destruction that was called off or overtaken."""
    holds = versions.keepings_of(key.version) == versions.keepings_of(version)
    waits = key.state is _S.DESTROY_PENDING and key.assign_time_us == time_us
    return key.destroy_time_us if waits and holds else 0


def _use(key: Key) -> Use:
    return key.assign_time_us, key.drive_serial, key.mount_id, key.volser


def _joined_use(a: Key, b: Key) -> Use:
    """Return the later mount; of a key that no mount was given, for which drive it was put aside last."""
    if a.assign_time_us or b.assign_time_us:
        return max(_use(a), _use(b))
    return max((versions.moves_of(each.version), each.group, _use(each)) for each in (a, b))[2]


def _joined_material(a: Key, b: Key) -> tuple[Key, bytes, bytes]:
    """Return whose identity holds, with sealed material and check value.

    Only a key that two servers took in apart has two: its id is made from alias and material, so that either
    is right, and the boxes of each open under its own.
    """
    first = min(a, b, key=_made)
    same = [each for each in (a, b) if _made(each) == _made(first)]
    sealed, check_value = max(((each.sealed, each.check_value) for each in same), key=_box)
    return first, sealed, check_value


def _made(key: Key) -> tuple[bytes, int, int, int, str, bytes]:
    return key.origin, key.created_seq, key.create_time_us, key.epoch, key.alias, key.dki


def _box(material: tuple[bytes, bytes]) -> tuple[int, bytes, bytes]:
    return version_of(material[0]), *material
