"""How an administrator's change becomes durable: the change and its audit record in one unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from qekm.api.guard import caller
from qekm.audit import Subject, called
from qekm.model import Change, Drive, Outcome


class Commits(Protocol):
    """What makes a unit of changes durable (qekm.store.Store)."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Return when the unit is durable; StoreFailed, Incident."""


class Journal:
    """Commits what a call changed together with the record of who called."""

    def __init__(self, store: Commits, now_us: Callable[[], int]) -> None:
        self._store = store
        self._now_us = now_us

    async def commit(
        self,
        method: str,
        changes: Sequence[Change],
        subject: Subject = Subject(),  # noqa: B008  frozen
        *,
        alias: str = "",
        message: str = "",
        outcome: Outcome = Outcome.SUCCESS,
    ) -> None:
        """Commit changes and their record; durable when this returns. StoreFailed, Incident."""
        record = called(
            self._now_us(), method, caller().actor, outcome, subject, alias=alias, message=message
        )
        await self._store.commit([*changes, record])

    def record(self, method: str, message: str) -> Change:
        """Return the record of a call whose changes others commit (qekm.configuration.owner)."""
        return called(self._now_us(), method, caller().actor, message=message)


def about(drive: Drive) -> Subject:
    """Return what a record about a drive's entry says of it."""
    return Subject(drive.serial, drive.wwnn)
