"""Own which key groups serve drives whose entries name none: symmetricKeySet, drive.default.alias1 and 2.

symmetricKeySet is the store's default group: one truth in two places. A change at run time is made in both.
At a start the file wins if it was edited since the last run, else the store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from qekm.allocator import Allocator
from qekm.configuration.owner import Configuration, Records
from qekm.configuration.parts import Applied
from qekm.configuration.settings import FROM_ENVIRONMENT, Settings, amend
from qekm.errors import BadConfiguration, GroupInUse, QekmError, UnknownGroup, UnknownKey
from qekm.keystore import Keystore
from qekm.model import Change
from qekm.properties import PROPERTIES

_log = logging.getLogger(__name__)

DEFAULT_GROUP = "symmetricKeySet"
PREFERRED = ("drive.default.alias1", "drive.default.alias2")
NAMES = (DEFAULT_GROUP, *PREFERRED)


class KeySet:
    """What the properties say of groups, and the allocator does; `lines` tells where they differ."""

    def __init__(self, allocator: Allocator, keystore: Keystore, configuration: Configuration) -> None:
        """Take part in every change of these properties."""
        self._allocator, self._keystore, self._configuration = allocator, keystore, configuration
        self._settings = configuration.settings
        configuration.on_change(NAMES, self.apply)

    async def apply(self, coming: Settings) -> Applied:
        """Use other groups from now on; UnknownGroup, BadConfiguration for a key in place of a group."""
        present = {name: self._settings[name] for name in PREFERRED} | {DEFAULT_GROUP: self._default()}
        for name, group in present.items():
            if coming[name] and coming[name] != group:
                self._check(name, coming[name])

        def settle() -> Sequence[Change]:
            """Use them; returns the groups whose mark as the default has changed."""
            self._allocator.prefer(coming[name] for name in PREFERRED)
            group = coming[DEFAULT_GROUP]
            return () if group == self._default() else self._allocator.update(group, is_default=True)

        return Applied(settle=settle)

    async def make_default(self, group: str, records: Records) -> None:
        """Make a group the default, in the file, too; GroupInUse if the environment says which one it is."""
        if self._configuration.file.source(DEFAULT_GROUP) == FROM_ENVIRONMENT:
            variable = PROPERTIES.variable(DEFAULT_GROUP)
            raise GroupInUse(f"{variable} in the environment says which group is the default", group=group)
        await self._configuration.update({DEFAULT_GROUP: group}, records=records)

    def still(self) -> AbstractAsyncContextManager[None]:
        """Have nobody name a group while the block runs."""
        return self._configuration.still()

    def start(self, before: Mapping[str, str] | None) -> list[Change]:
        """Bring file and store together; `before` are the properties of the last run, None for none.

        What cannot be is left as it is, and `lines` tells of it.
        """
        self._allocator.prefer(self._settings[name] for name in PREFERRED)
        wanted, present = self._settings[DEFAULT_GROUP], self._default()
        if wanted == present or not present:
            return []
        is_forced = self._settings.source(DEFAULT_GROUP) == FROM_ENVIRONMENT
        last = None if before is None else before.get(DEFAULT_GROUP, PROPERTIES[DEFAULT_GROUP].default)
        is_group, was_edited = self._allocator.knows(wanted), last not in (None, wanted)
        if is_group and (was_edited or is_forced):
            return self._allocator.update(wanted, is_default=True)
        if not is_forced and (is_group or last is None):
            self._write(present)
        self._settings.put(DEFAULT_GROUP, present)
        return []

    def lines(self) -> list[str]:
        """Return what a status says of properties that name no group."""
        found = [
            f"{name}={self._settings[name]} names no key group: it is passed over"
            for name in PREFERRED
            if self._settings[name] and not self._allocator.knows(self._settings[name])
        ]
        wanted, present = self._configuration.file.text(DEFAULT_GROUP), self._default()
        if wanted != present and present:
            found.append(f"{DEFAULT_GROUP}={wanted} is not in force: the default key group is {present}")
        return found

    def _default(self) -> str:
        """Return the name of the store's default group, empty before there is one."""
        try:
            return self._allocator.default().name
        except UnknownGroup:
            return ""

    def _write(self, group: str) -> None:
        """Have the file say what the store says: 0.2.0 changed only the store."""
        configuration = self._configuration
        try:
            amend(configuration.path, {DEFAULT_GROUP: group})
        except QekmError as error:
            _log.warning("%s", error.message)
            return
        _log.warning("%s is %s now, as in the store", DEFAULT_GROUP, group)
        configuration.file.put(DEFAULT_GROUP, group)
        configuration.known.put(DEFAULT_GROUP, group)

    def _check(self, name: str, text: str) -> None:
        if self._allocator.knows(text):
            return
        hint = "name a key group; keys are put into one with: qekm groups move"
        if "," in text or ";" in text:
            raise BadConfiguration(f"{name} is a list: it must be one key group", hint=hint, property=name)
        try:
            key = self._keystore.by_alias(text)
        except UnknownKey:
            raise UnknownGroup(f"{name}: there is no group {text!r}", group=text) from None
        raise BadConfiguration(
            f"{name} is the key {key.alias}: every drive would get the same one", hint=hint, property=name
        )
