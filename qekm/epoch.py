"""A new epoch of a store: nothing that may have been given out since is given again, and a new pool is made.

After a restore, and when an old copy is adopted, nobody knows what became of the keys that were in the pool.
They are put aside for good, readable for ever, and the aliases of new ones have another tag. What is in the
pools of other servers is given out by those alone, now as before. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from qekm.allocator import Allocator
from qekm.estate import BEHIND, EPOCH, TAG, UNERASED
from qekm.keystore import Keystore
from qekm.model import Approval, ApprovalState, Change, Group, Key, KeyState, Setting
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing
from qekm.store import INSTANCE, Snapshot

ACTOR = "restore"  # in the trail and in requests that end with an epoch
_UNUSED = (KeyState.GENERATED, KeyState.READY)
_OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A new epoch's changes, to be committed together, and how many keys each of its rules met."""

    number: int
    changes: tuple[Change, ...]
    aside: int  # never given out as far as the store knows: QUARANTINED
    suspect: int  # under way to a drive
    kept: int  # about to be destroyed: perhaps that was called off since, so it is called off
    erased: int  # destroyed since, as tombstones tell
    made: int

    def __str__(self) -> str:
        return (
            f"epoch {self.number}: {self.aside:,} unused keys are put aside, {self.suspect:,} are suspect, "
            f"of {self.kept:,} the destruction is called off, "
            f"{self.erased:,} are destroyed again, {self.made:,} new ones are made"
        )


@dataclass(frozen=True, slots=True)
class Past:
    """What a new epoch begins with: the store as it was found, and what is known to have happened since."""

    found: Snapshot
    ring: KeyRing
    destroyed: Collection[bytes] = ()  # ids of keys that were destroyed since


def turn(
    number: int, past: Past, first_state: KeyState, now_us: Callable[[], int], random_bytes: RandomBytes
) -> Epoch:
    """Return what a new epoch changes; first_state: of its new keys."""
    found, tag, instance = past.found, random_bytes(5).hex().upper(), random_bytes(8)
    keystore = Keystore(found.keys, past.ring, now_us, random_bytes, tag, number, first_state, instance)
    before = bytes.fromhex(found.settings.get(INSTANCE, ""))
    unused = [key for key in keystore if key.state in _UNUSED and key.origin == before]
    aside = [keystore.mark(key, KeyState.QUARANTINED) for key in unused]
    suspect = [keystore.mark(key, KeyState.SUSPECT) for key in keystore.in_state(KeyState.ASSIGNED)]
    pending = keystore.in_state(KeyState.DESTROY_PENDING)
    kept = keystore.keep([key.alias for key in pending if key.key_id not in past.destroyed])
    ending = [key for key in keystore if key.key_id in past.destroyed and key.sealed]
    erased = [keystore.erase(key, now_us()) for key in ending]
    made = _pools(found.groups, keystore, Counter(key.group for key in unused), now_us)
    settings = [
        Setting(INSTANCE, instance.hex()),
        Setting(TAG, tag),
        Setting(EPOCH, str(number)),
        Setting(BEHIND, ""),
    ]
    void = [_void(each, now_us()) for each in found.approvals if each.state in _OPEN]
    if erased:
        settings.append(Setting(UNERASED, "yes"))  # a start writes the file anew, without them
    changes: tuple[Change, ...] = (*aside, *suspect, *kept, *erased, *made, *settings, *void)
    return Epoch(number, changes, len(aside), len(suspect), len(kept), len(erased), len(made))


def _pools(
    groups: Sequence[Group], keystore: Keystore, unused: Mapping[str, int], now_us: Callable[[], int]
) -> list[Key]:
    """Make as many keys for each group as were put aside, or as fill its pool up."""
    allocator = Allocator(groups, keystore, now_us)
    wanted = {
        group.name: max(allocator.needs_refill(group.name), unused.get(group.name, 0)) for group in groups
    }
    return [key for name, count in wanted.items() for key in keystore.generate(count, name)]


def _void(approval: Approval, now_us: int) -> Approval:
    """Return a request that nobody may carry out any more: perhaps it was, since."""
    return replace(approval, state=ApprovalState.REFUSED, decider=ACTOR, decide_time_us=now_us)
