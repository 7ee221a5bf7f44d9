"""The life cycle of a data key as a table (NIST SP 800-57 part 1, section 7; the states of tape practice).

No way leads back to READY: that is what keeps a key from being given out twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm.model import KeyState

_S = KeyState
_ENDS = frozenset({_S.PROCESS_ONLY, _S.COMPROMISED, _S.DESTROY_PENDING})

NEXT: Mapping[KeyState, frozenset[KeyState]] = MappingProxyType(
    {
        _S.GENERATED: frozenset({_S.READY, _S.QUARANTINED, _S.COMPROMISED, _S.DESTROY_PENDING}),
        _S.READY: frozenset({_S.ASSIGNED, _S.QUARANTINED, _S.COMPROMISED, _S.DESTROY_PENDING}),
        _S.ASSIGNED: frozenset({_S.ACTIVE, _S.SUSPECT}),
        _S.ACTIVE: _ENDS,
        _S.SUSPECT: _ENDS | {_S.ASSIGNED, _S.ACTIVE},
        _S.QUARANTINED: _ENDS,
        _S.PROCESS_ONLY: frozenset({_S.COMPROMISED, _S.DESTROY_PENDING}),
        _S.COMPROMISED: frozenset({_S.DESTROY_PENDING}),
        # Or what after_keeping says, but only by calling the destruction off: nothing does so by the way.
        _S.DESTROY_PENDING: frozenset({_S.DESTROYED}),
        _S.DESTROYED: frozenset(),
    }
)

# Whoever may read can read: only a key that is on its way out, or gone, is served to nobody. That it is not
# served while it waits is what shows a mistake before it is too late.
READABLE = frozenset(KeyState) - {_S.DESTROY_PENDING, _S.DESTROYED}

NEVER_USED = frozenset({_S.GENERATED, _S.READY})
OF_A_MOUNT = frozenset({_S.ASSIGNED, _S.ACTIVE, _S.SUSPECT})


def after_keeping(former: KeyState) -> KeyState:
    """Return the state of a key whose destruction was called off: its former one, unless it was never given.

    Such a key is given to nobody from then on.
    """
    return KeyState.QUARANTINED if former in NEVER_USED else former
