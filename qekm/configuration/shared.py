"""Have the servers of an estate agree on the properties that all have in common.

A change here becomes a row that the others get; one of theirs becomes a change of this server's file, by the
same way as a person's. What this server cannot take is kept and told, and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from qekm.audit import SERVICE, occurred
from qekm.configuration.differences import joined
from qekm.configuration.owner import Changed, Configuration
from qekm.configuration.parts import Applied
from qekm.configuration.settings import FROM_ENVIRONMENT, Settings
from qekm.errors import Draining, QekmError, StoreFailed
from qekm.model import Change, Removal, SharedProperty
from qekm.properties import PROPERTIES

_log = logging.getLogger(__name__)

SHARED = tuple(name for name, item in PROPERTIES.items() if item.shared)
_LONGEST = 200  # characters of what another server says
_AGAIN_US = 10_000_000  # the group that it names may come later than the property


class Journal(Protocol):
    """Whether what is changed is kept for others (qekm.store.Store)."""

    @property
    def journaling(self) -> bool:
        """Tell whether there is, or may be, a peer."""


class SharedProperties:
    """Of one server; `author` gives the name of the server that changed a property last."""

    def __init__(
        self,
        rows: Iterable[SharedProperty],
        configuration: Configuration,
        journal: Journal,
        author: Callable[[str], str],
        now_us: Callable[[], int],
    ) -> None:
        """Take the store's rows, and part in every change of a property that is shared."""
        self._rows = {row.name: row.value for row in rows}
        self._configuration, self._journal = configuration, journal
        self._author, self._now_us = author, now_us
        self._pending: dict[str, str] = {}  # what another server has and this one does not, yet
        self._refused: dict[str, str] = {}  # of these: why
        self._tried_us = 0
        configuration.on_change(SHARED, self._apply)

    def start(self, before: Mapping[str, str] | None) -> list[Change]:
        """Return what to commit at a start: what was edited by hand; the rest the others have decided.

        before: the properties of the last run, None for none.
        """
        settings = self._configuration.settings
        edited: list[Change] = []
        for name in SHARED:
            text, row = settings.text(name), self._rows.get(name)
            if row == text or settings.source(name) == FROM_ENVIRONMENT:
                continue
            was_edited = before is not None and before.get(name, PROPERTIES[name].default) != text
            if was_edited:
                edited += self._share(name, text)
            elif row is not None:
                self._pending[name] = row
        self._pending |= {name: text for name, text in self._rows.items() if name not in PROPERTIES}
        return edited

    def heard(self, row: SharedProperty | Removal) -> None:
        """Take what another server has, to be put in force here."""
        if isinstance(row, SharedProperty):
            self._rows[row.name] = self._pending[row.name] = row.value
            self._refused.pop(row.name, None)
            self._tried_us = 0

    async def tick(self) -> None:
        """Put in force what others have; StoreFailed."""
        if not self._pending or 0 <= self._now_us() - self._tried_us < _AGAIN_US:
            return
        self._tried_us = self._now_us()
        for name, text in tuple(self._pending.items()):
            await self._put(name, text)

    def lines(self) -> list[str]:
        """Return what a status says: where this server is not as the others."""
        return [
            f"{_line(name)}={_line(self._pending[name])} of server {self._author(name)} is not taken: {why}"
            for name, why in self._refused.items()
        ]

    async def _put(self, name: str, text: str) -> None:
        def records(changed: Changed) -> Sequence[Change]:
            """Tell the trail whose change that is."""
            what = joined(changed.told) or f"{name} is {text} already"
            told = f"as server {self._author(name)} has it: {what}"
            return [occurred(self._now_us(), "configuration.change", SERVICE, message=told)]

        try:
            await self._configuration.update({name: text}, records=records)
        except StoreFailed:
            raise
        except Draining:
            return  # the next start goes on with it
        except QekmError as error:
            why = _line(error.message)
            if self._refused.get(name) != why:
                _log.warning("%s of server %s is not taken: %s", _line(name), self._author(name), why)
            if self._pending.get(name) == text:
                self._refused[name] = why
            return
        self._settled(name, text)

    def _settled(self, name: str, text: str) -> None:
        if self._pending.get(name) == text:
            del self._pending[name]
        self._refused.pop(name, None)

    async def _apply(self, coming: Settings) -> Applied:
        """Share what is changed here, and is news."""
        present = self._configuration.settings

        def settle() -> Sequence[Change]:
            """Return the rows."""
            changed = [name for name in SHARED if coming.text(name) != present.text(name)]
            return [
                row
                for name in changed
                if coming.source(name) != FROM_ENVIRONMENT
                for row in self._share(name, coming.text(name))
            ]

        return Applied(settle=settle)

    def _share(self, name: str, text: str) -> list[SharedProperty]:
        """Return the row of a value that was decided here; none if the others have it."""
        if self._rows.get(name) == text or not self._journal.journaling:
            return []
        self._pending.pop(name, None)
        self._refused.pop(name, None)
        self._rows[name] = text
        return [SharedProperty(name, text)]


def _line(text: str) -> str:
    """Return another server's text as a part of one line."""
    return (text if text.isprintable() else ascii(text))[:_LONGEST]
