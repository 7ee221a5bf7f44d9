"""Two keys of one alias that servers took in apart: both are kept, and no store can be made like the other.

Tapes may have been written with either, and nothing new is with any. So that such rows differ is told, but
is no reason to give no new keys. What is known of them is a setting, for it is heard only once. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from qekm.clock import utc
from qekm.model import Key, KeyState, Setting
from qekm.replication.keys import RANKS, live

CONFLICTS = "peers.conflicts"  # a setting: by alias, when the other key was taken in and the ids of both
_MOST = 1_000
_Known = dict[str, tuple[int, list[str]]]
_ARCHIVED = RANKS[KeyState.PROCESS_ONLY]


def note(settings: Mapping[str, str], own: Key, other: Key) -> Setting | None:
    """Return what remembers two keys of one alias; None for known ones, and for those given to drives."""
    known = _known(settings)
    archived = all(RANKS[live(key)] >= _ARCHIVED for key in (own, other))
    if not archived or own.alias in known or len(known) >= _MOST:
        return None
    known[own.alias] = other.create_time_us, [own.key_id.hex(), other.key_id.hex()]
    return Setting(CONFLICTS, json.dumps(known))


def unexplained(settings: Mapping[str, str], differences: Sequence[str]) -> tuple[str, ...]:
    """Return the rows that differ, as comparing.named has them, but for those of known conflicts."""
    explained = {f"keys {each}" for _, ids in _known(settings).values() for each in ids}
    return tuple(each for each in differences if each not in explained)


def told(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what there is to say of each alias."""
    return {
        alias: f"another server has another key of this alias, imported {utc(taken_us)}"
        for alias, (taken_us, _) in _known(settings).items()
    }


def _known(settings: Mapping[str, str]) -> _Known:
    found: _Known = json.loads(settings.get(CONFLICTS, "") or "{}")
    return found
