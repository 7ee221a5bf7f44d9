"""The backups that nobody asks for: after new keys, on schedule, again after a failure; and the status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from qekm.audit import SERVICE
from qekm.backup.condition import Condition
from qekm.backup.due import Growth, retry_us
from qekm.backup.keeping import Keeper, mute
from qekm.errors import QekmError, StoreFailed
from qekm.keystore import Keystore
from qekm.protection import PEER, Protection

_log = logging.getLogger(__name__)


class Routine:
    """Looks every second whether a backup is due, and has it made beside everything else."""

    def __init__(
        self, keeper: Keeper, keystore: Keystore, protection: Protection, now_us: Callable[[], int]
    ) -> None:
        self._keeper, self._keystore, self._protection, self._now_us = keeper, keystore, protection, now_us
        self._growth = Growth()
        self._making: asyncio.Task[None] | None = None

    async def tick(self) -> None:
        """Begin a backup if one is due: new keys and a moment's rest, or the schedule."""
        keeper, now_us = self._keeper, self._now_us()
        if keeper.closed or keeper.target is None or self._keystore.read_only:
            return
        settled = self._growth.settled(self._keystore.created_seq, keeper.covered, now_us)
        due = settled or 0 < keeper.backups.next_us <= now_us
        if due and not keeper.busy and now_us >= keeper.failed_us + retry_us(keeper.failures):
            self._making = asyncio.create_task(self._make())

    async def _make(self) -> None:
        try:
            await self._keeper.create(SERVICE, mute)
        except StoreFailed:
            return  # the service is about to end
        except QekmError as error:
            _log.warning("no backup was made: %s", error.message)

    def lines(self) -> list[str]:
        """Return what every status says of the backups."""
        keeper, target = self._keeper, self._keeper.target
        condition = Condition(
            protected=self._keystore.must_wait,
            has_target=target is not None,
            elsewhere=keeper.elsewhere or bool(target and target.command),
            same_disk=bool(target and target.same_disk),
            failure=keeper.failure,
            created_seq=self._keystore.created_seq,
            now_us=self._now_us(),
            by_peer=self._protection.place == PEER,
        )
        return [*self._protection.lines(), *condition.lines(keeper.backups)]
