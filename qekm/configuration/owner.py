"""Own the properties of a running service: a change is in force and in the file, or nowhere.

First everything that can fail (a port that is taken), then the file, then what cannot fail. What fails takes
back what went before it; what fails all the same behind the file ends the service, whose next start has what
the file says. One change at a time, and each to its end, even when whoever asked has gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qekm.audit import SERVICE, occurred
from qekm.configuration.differences import joined, remembered, since, told
from qekm.configuration.parts import Applied, Apply, finish, undo
from qekm.configuration.settings import (
    FROM_ENVIRONMENT,
    Settings,
    amend,
    amendment,
    checked,
    read_file,
    texts_of,
)
from qekm.errors import Draining, QekmError, StoreFailed
from qekm.model import Change
from qekm.properties import Property

_log = logging.getLogger(__name__)

Commit = Callable[[Sequence[Change]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change."""

    names: tuple[str, ...] = ()
    at_restart: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()  # name: old -> new, for the trail


Records = Callable[[Changed], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class _Part:
    names: frozenset[str]
    apply: Apply


async def _forget(_changes: Sequence[Change]) -> None:
    """Commit nowhere."""


class Configuration:
    """The settings in force, the file, and the parts of the service that are told of a change."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        commit: Commit = _forget,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are those in force: the same object that every part reads. `commit` makes durable."""
        self.path, self.settings, self._commit = path, settings, commit
        self.file = settings.copy()  # what a restart would put in force, as far as is known
        self.known = settings.copy()  # what the trail has been told of
        self._environ = os.environ if environ is None else environ
        self._parts: list[_Part] = []
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flaw = ""
        self._closed = False
        self.failed: Callable[[BaseException], None] = lambda _error: None  # the service is to stop

    def on_change(self, names: Iterable[str], apply: Apply) -> None:
        """Have `apply` called with the settings to be whenever one of these properties changes.

        It may refuse by raising an error of ours: then nothing is changed anywhere.
        """
        self._parts.append(_Part(frozenset(names), apply))

    def begin(self, before: Mapping[str, str] | None, time_us: int) -> list[Change]:
        """Return what to commit at a start: the record of what was changed while the service did not run.

        before: what the store remembers of the last run (`recall` of differences), None for nothing.
        """
        _tell_unknown(self.path, self.settings)
        changes: list[Change] = [remembered(self.known)]
        found = () if before is None else since(before, self.known)
        if found:
            changes.append(occurred(time_us, "configuration.change", SERVICE, message=joined(found)))
        return changes

    async def update(
        self, values: Mapping[str, str], unset: Iterable[str] = (), records: Records = lambda _changed: ()
    ) -> Changed:
        """Put properties in force and in the file, all or none.

        records: what is committed with it, beside what the parts have to commit. UnknownProperty,
        BadConfiguration, FileFailed, StoreFailed, and the errors of the parts.
        """
        return await self._alone(self._update(dict(values), tuple(unset), records))

    async def refresh(self, records: Records = lambda _changed: ()) -> Changed:
        """Read the file again, put in force what needs no restart; BadConfiguration, errors of the parts."""
        return await self._alone(self._refresh(records))

    async def look(self) -> Settings:
        """Return what a restart would put in force; of a file that cannot be used, what it said before."""
        known = self.file
        with suppress(QekmError):  # `lines` tells of it
            found = await asyncio.to_thread(self._load)
            if self.file is known:  # else a change was made meanwhile, and knows better
                self.file = found
        return self.file

    def lines(self) -> list[str]:
        """Return what a status says: that the service could not start again with its file."""
        return [f"the next start would fail: {self._flaw}"] if self._flaw else []

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Have no property change while the block runs, for acts that a property depends on."""
        async with self._lock:
            yield

    async def close(self) -> None:
        """Take no further change, and wait for those under way."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _alone(self, act: Coroutine[Any, Any, Changed]) -> Changed:
        if self._closed:
            act.close()
            raise Draining("the service is stopping")
        task = asyncio.create_task(self._in_turn(act))
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    async def _in_turn(self, act: Coroutine[Any, Any, Changed]) -> Changed:
        async with self._lock:
            return await act

    def _end(self, task: asyncio.Task[Changed]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()  # looked at: the caller may have gone
        if error is not None:
            _log.info("properties were not changed: %s", error)

    def _load(self) -> Settings:
        try:
            found = Settings.load(self.path, self._environ)
        except QekmError as error:
            self._flaw = error.message
            raise
        self._flaw = ""
        return found

    async def _update(self, values: dict[str, str], unset: tuple[str, ...], records: Records) -> Changed:
        file = self.path.name
        before = await asyncio.to_thread(read_file, self.path)
        after = amendment(before, file, values, unset)
        old, new = texts_of(before, file), texts_of(after, file)
        items = {name: self.settings.table.find(name) for name in (*checked(values), *unset)}
        names = tuple(dict.fromkeys(item.name for item in items.values() if item is not None))
        words = [
            told(name, old.get(name, item.default), new.get(name, item.default))
            for name, item in ((name, self.settings.table[name]) for name in names)
        ]
        words += [f"{name} is taken out" for name, item in items.items() if item is None]
        coming = Settings.parse(after, file, self._environ)
        # Read anew: it may have been edited while the parts were asked.
        return await self._put(coming, names, words, records, partial(amend, self.path, values, unset))

    async def _refresh(self, records: Records) -> Changed:
        coming = await asyncio.to_thread(self._load)
        _tell_unknown(self.path, coming)
        places = {
            name: self.settings if _is_live(item) else self.known for name, item in coming.table.items()
        }
        names = tuple(name for name, place in places.items() if coming.text(name) != place.text(name))
        words = [told(name, places[name].text(name), coming.text(name)) for name in names]
        return await self._put(coming, names, words, records)

    async def _put(
        self,
        coming: Settings,
        names: tuple[str, ...],
        words: Sequence[str],
        records: Records,
        write: Callable[[], str] = str,
    ) -> Changed:
        """Put properties in force as they are in `coming`; the order of it is what this module is for."""
        live = [name for name in names if _is_live(coming.table[name])]
        changed = [name for name in names if coming[name] != self.settings[name]]
        next_ = self.settings.copy()
        next_.take(coming, live)
        done: list[Applied] = []
        try:
            for part in self._parts:
                if part.names.intersection(changed, live):
                    done.append(await part.apply(next_))
            doubt = await asyncio.to_thread(write)
        except BaseException:
            await undo(done)
            raise
        at_restart = tuple(name for name in changed if name not in live)
        parts = (note for applied in done for note in applied.notes)
        notes = (*self._notes(coming, names), *parts, *([doubt] if doubt else []))
        result = Changed(names, at_restart, notes, tuple(words))
        try:
            changes = [change for applied in done if applied.settle for change in applied.settle()]
            self.settings.take(coming, live)
            self.known.take(coming, names)
            self.file, self._flaw = coming, ""
            await self._commit([*changes, remembered(self.known), *records(result)])
        except Exception as error:
            why = "properties may be in the file and not in force: the service stops"
            _log.critical("%s", why, exc_info=error)
            self.failed(error)
            raise StoreFailed(why) from error
        await finish(done)
        return result

    def _notes(self, coming: Settings, names: Iterable[str]) -> list[str]:
        """Return what whoever changed these properties should know of them."""
        notes = []
        for name in names:
            item = coming.table[name]
            if coming.source(name) == FROM_ENVIRONMENT:
                variable = coming.table.variable(name)
                notes.append(f"{name} stays {coming.text(name)}: {variable} in the environment says so")
            elif item.origin == "kept":
                notes.append(f"{name} is kept and means nothing here: {item.help}")
        return notes


def _is_live(item: Property) -> bool:
    """Tell whether a change of a property needs no restart; one that means nothing here needs none."""
    return item.dynamic or item.origin == "kept"


def _tell_unknown(path: Path, found: Settings) -> None:
    for name in found.unknown:
        _log.warning("%s: property %s is not known", path.name, name)
