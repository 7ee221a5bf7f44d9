"""Own the properties of a running service: a change is in force and in the file, or nowhere.

First everything that can fail (a port that is taken), then the file, then what cannot fail. What fails takes
back what went before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qekm.config import Settings, amend
from qekm.properties import PROPERTIES

Undo = Callable[[], Awaitable[None]]
Apply = Callable[[Settings], Awaitable["Applied"]]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a part of the service did with new settings: how it is taken back or ended, and what to tell."""

    undo: Undo | None = None
    finish: Undo | None = None  # when the file is written: the old port is drained
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of a change."""

    names: tuple[str, ...] = ()
    at_restart: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Part:
    names: frozenset[str]
    apply: Apply


class Configuration:
    """The settings in force, the file, and the parts of the service that are told of a change."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """`settings` are those in force: the same object that every part reads."""
        self.path, self.settings = path, settings
        self._parts: list[_Part] = []

    def on_change(self, names: Iterable[str], apply: Apply) -> None:
        """Have `apply` called with the settings to be whenever one of these properties changes.

        It may refuse by raising an error of ours: then nothing is changed anywhere.
        """
        self._parts.append(_Part(frozenset(names), apply))

    async def update(self, values: Mapping[str, str], unset: Iterable[str] = ()) -> Changed:
        """Put properties in force and in the file, all or none; errors of the parts."""
        wanted = dict(values) | {name: PROPERTIES[name].default for name in unset}
        coming = self.settings.copy()
        for name, text in wanted.items():
            coming.put(name, PROPERTIES[name].read(text))
        return await self._put(coming, lambda: amend(self.path, wanted))

    async def refresh(self) -> Changed:
        """Read the file again and put in force what needs no restart; errors as Settings.load."""
        return await self._put(Settings.load(self.path), lambda: None)

    async def _put(self, coming: Settings, write: Callable[[], None]) -> Changed:
        names = tuple(name for name in PROPERTIES if coming[name] != self.settings[name])
        done: list[Applied] = []
        try:
            for part in self._parts:
                if part.names.intersection(name for name in names if PROPERTIES[name].dynamic):
                    done.append(await part.apply(coming))
            write()
        except BaseException:
            for applied in reversed(done):
                if applied.undo is not None:
                    await applied.undo()
            raise
        for name in names:
            if PROPERTIES[name].dynamic:
                self.settings.put(name, coming[name])
        for applied in done:
            if applied.finish is not None:
                await applied.finish()
        at_restart = tuple(name for name in names if not PROPERTIES[name].dynamic)
        return Changed(names, at_restart, tuple(note for applied in done for note in applied.notes))
