"""What follows from a comparison: two servers that differ give no new keys until they are the same again.

Keys are read all the while. Which rows differ is remembered over a start, and told to whoever looks.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from qekm.audit import SERVICE, occurred
from qekm.model import AuditRecord, Cartridge, Change, Key, Outcome, Setting
from qekm.replication.comparing import Place, in_short
from qekm.replication.conflicts import unexplained
from qekm.replication.ground import Ground, Rows
from qekm.replication.link import Link
from qekm.store import SHARED, PrimaryKey
from qekm.text import as_line

_log = logging.getLogger(__name__)

DIVERGED = "peers.diverged"  # a setting: rows that differ, by peer, as JSON
_KEPT = 20  # rows that it names


class Agreement:
    """Freezes and thaws the pool of keys by what all links say."""

    def __init__(self, ground: Ground, links: Mapping[str, Link]) -> None:
        self._ground, self._links = ground, links
        self._reason = ""  # for which no keys are given

    def recall(self, link: Callable[[str], Link]) -> None:
        """Take from the settings what a former process found to be different; `link` makes a peer's."""
        for name, found in json.loads(self._ground.settings.get(DIVERGED, "") or "{}").items():
            link(name).differences = tuple(found)
        self._freeze()

    async def judge(self, link: Link, differences: tuple[str, ...]) -> None:
        """Take what a comparison found: stop giving keys, or go on; what is new is recorded. StoreFailed."""
        differences = tuple(map(as_line, unexplained(self._ground.settings, differences)))
        before = link.differences
        link.compared(differences)
        changes: list[Change] = [] if differences else [link.cursor]
        if bool(before) != bool(differences):
            changes += [*self.weigh(), self._told(link)]
        if changes:
            await self._ground.store.commit(changes)

    def _told(self, link: Link) -> AuditRecord:
        both = f"the stores of this server and {link.name}"
        if link.differences:
            event, outcome, what = "peer.diverge", Outcome.FAILURE, f"differ: {in_short(link.differences)}"
        else:
            event, outcome, what = "peer.agree", Outcome.SUCCESS, "are the same again"
        _log.log(logging.ERROR if link.differences else logging.INFO, "%s %s", both, what)
        return occurred(self._ground.now_us(), event, SERVICE, outcome, message=f"{both} {what}")

    def weigh(self) -> list[Change]:
        """Give no new keys while any link has differences; return what remembers that over a start."""
        found = {name: each.differences[:_KEPT] for name, each in self._links.items() if each.differences}
        text = json.dumps(found) if found else ""
        self._ground.settings[DIVERGED] = text
        self._freeze()
        return [Setting(DIVERGED, text)]

    def _freeze(self) -> None:
        pool = self._ground.pool
        differing = [link for link in self._links.values() if link.differences]
        if not differing:
            pool.thaw(self._reason)
            self._reason = ""
        elif not pool.read_only:
            what = "; ".join(f"{link.name}: {in_short(link.differences)}" for link in differing)
            self._reason = f"rows differ from those of {what}"
            pool.freeze(self._reason)


async def assert_rows(store: Rows, places: Iterable[Place]) -> None:
    """Change rows to what they are here, so that this is the last change of each; StoreFailed.

    Keys are joined, and their uses added: of those nothing holds over anything else.
    """
    wanted: dict[str, list[PrimaryKey]] = defaultdict(list)
    for table, key in places:
        if SHARED[table].noun not in (Key, Cartridge):
            wanted[table].append(key)
    await store.submit_stamped([()])  # what was changed before is on the disk then
    for table, keys in wanted.items():
        rows = await asyncio.to_thread(store.shared_rows, table, keys)
        await store.commit([SHARED[table].of_row(row) for row in rows])
