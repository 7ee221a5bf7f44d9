"""What the trail tells at a start: what nobody was told of before it, and how the last run ended."""

from __future__ import annotations

import logging
from typing import Protocol

from qekm.alarms.rules import judge
from qekm.store.chain import Link

_log = logging.getLogger(__name__)

MOST = 20_000  # records before a start that are looked at, the newest
_PAGE, _FEW = 1_000, 100
_ENDS = frozenset({"server.stop", "server.restore", "store.adopt"})  # what a copy was made of ran on


class Trail(Protocol):
    """The store, as far as it is needed here (qekm.store.Store)."""

    def audit_page(self, after_sequence: int, limit: int, *, newest_first: bool = False) -> list[Link]:
        """Return links beyond a sequence; 0: from the start, or the end with newest_first."""


def missed(trail: Trail, told: int) -> list[Link]:
    """Return the records beyond place `told` that happened at a moment; what lasts tells of itself again."""
    newest = trail.audit_page(0, 1, newest_first=True)
    after = max(told, newest[0].sequence - MOST) if newest else told
    if after > told:
        _log.warning("records %s to %s are not looked at for alarms", f"{told + 1:,}", f"{after:,}")
    found: list[Link] = []
    while page := trail.audit_page(after, _PAGE):
        after = page[-1].sequence
        judged = ((link, judge(link.record)) for link in page)
        found += [link for link, what in judged if what is not None and not what.rule.well]
    return found


def is_cut(trail: Trail) -> bool:
    """Tell whether the run before this one, whose start is in the trail, ended without a stop."""
    before = looked = 0
    is_own = True
    while (page := trail.audit_page(before, _FEW, newest_first=True)) and looked < MOST:
        before, looked = page[-1].sequence, looked + len(page)
        for event in (link.record.event for link in page):
            if event in _ENDS:
                return False
            if event == "server.start" and not is_own:
                return True
            is_own = is_own and event != "server.start"
    return bool(page)  # a long run, whose end would have been met first
