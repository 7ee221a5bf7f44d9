"""Take an installation of the original over: its keys, opened, and its drives as changes of a new store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Self

from qekm.allocator import Allocator, check_name
from qekm.audit import Subject, occurred
from qekm.drives import Registry
from qekm.errors import BadArgument, BadFile, BadPassword
from qekm.interchange import jceks
from qekm.keystore import Keystore
from qekm.model import Change, Group
from qekm.partners import Partners
from qekm.properties import PROPERTIES
from qekm.secret import Secret
from qekm.sharing import BATCH, Fate, Importing, ImportOutcome, Offer
from qekm.takeover.drives import check_groups
from qekm.takeover.original import GROUP, Original
from qekm.takeover.properties import KEY_SET, KeySet, key_set

Tell = Callable[[int, int], object]  # given how many keys are open, of how many


def _mute(_done: int, _total: int) -> None:
    """Tell nobody."""


class Takeover:
    """Holds keys in clear from `open` until `changes` has gone through, or its block ends."""

    def __init__(
        self,
        original: Original,
        password: Secret,
        key_password: Secret | None = None,
        tell: Tell = _mute,
    ) -> None:
        """password: of the keystore; key_password: of the keys in it, if that is another."""
        self.original = original
        self._password, self._key_password = password, key_password
        self._tell = tell
        self._entries: tuple[jceks.Entry, ...] | None = None
        self._offers: list[Offer] = []
        self.left: list[tuple[str, str]] = []  # secret keys that are none of tapes, and why
        self.aliases: list[str] = []  # of the keys that are taken over

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for secret in (self._password, self._key_password, *(offer.material for offer in self._offers)):
            if secret is not None:
                secret.wipe()

    # What needs the keystore's password only.

    @property
    def entries(self) -> tuple[jceks.Entry, ...]:
        """Return what is in the keystore, its password verified; BadFile, BadPassword."""
        if self._entries is None:
            try:
                self._entries = jceks.parse(self.original.content, self._password)
            except (BadFile, BadPassword) as error:
                error.message = f"{self.original.keystore}: {error.message}"
                raise
        return self._entries

    @property
    def count(self) -> int:
        """Return how many secret keys there are; errors as `entries`."""
        return len(jceks.secret_keys(self.entries))

    @property
    def key_set(self) -> KeySet:
        """Return what symmetricKeySet names there; errors as `entries`."""
        return key_set(self.original.key_set, {entry.alias for entry in self.entries})

    @property
    def group(self) -> str:
        """Return the group that symmetricKeySet names, empty if it names none that can be; as `entries`."""
        name = self.key_set.group
        with suppress(BadArgument):
            check_name(name)
            return name
        return ""

    def properties(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the properties to begin with, those that were given among them; errors as `entries`.

        BadArgument names the drives whose groups will not be there with them.
        """
        found = self.original.properties
        properties = {
            KEY_SET: self.group or PROPERTIES[KEY_SET].default,
            **found.kept,
            **found.taken,
            **given,
        }
        check_groups(self.original.drives, {properties[KEY_SET], GROUP})
        return properties

    def opens_keys(self) -> bool:
        """Tell whether the password that is known opens the keys as well; errors as `entries`."""
        return jceks.opens_one(jceks.secret_keys(self.entries), self._key_password or self._password)

    # What opens the keys.

    def open(self) -> None:
        """Open every key; BadFile and BadPassword name the first one that cannot be."""
        secrets = jceks.secret_keys(self.entries)
        if not self.opens_keys():
            whose = "the password of the keys" if self._key_password else "the keystore's password"
            what = f"{self.original.keystore}: {whose} does not open the keys in it"
            raise BadPassword(what, hint="give theirs with --key-password-file or --key-password-fd")
        done = 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            self._tell(done, len(secrets))

        keys, useless = jceks.data_keys(secrets, self._key_password or self._password, tell)
        self._offers = [Offer(jceks.on_tape(key.alias), key.material) for key in keys]
        self._offers.sort(key=lambda offer: offer.alias)  # Java's order is none
        for alias, why in useless:
            if not isinstance(why, BadArgument):
                why.message = f"{self.original.keystore}: {why.message}"
                why.advice = "nothing was made; to go on without it: qekm init, then qekm keys import"
                raise why
            self.left.append((alias, why.message))
        if not self._offers:
            what = f"{self.original.keystore} holds no key that tapes are written with"
            raise BadFile(what, hint="is this the keystore that was in use?", file="keystore")

    def changes(
        self, keystore: Keystore, group: Group, now_us: Callable[[], int], actor: str
    ) -> Iterator[Change]:
        """Yield what a new store holds of all this: keys that only read, drives, records. BadFile.

        group: the store's default group; BadArgument for the name that these keys' own has. Each key that
        `open` opened is wiped when it was taken in.
        """
        if group.name == GROUP:
            what = f"group {GROUP!r} is for the keys that are taken over, not for new ones"
            hint = "name the default group otherwise: --property symmetricKeySet=NAME"
            raise BadArgument(what, hint=hint, field="symmetricKeySet")
        importing = Importing(keystore, Allocator([group], keystore, now_us), Partners([], now_us), now_us)
        left = iter(self._offers)
        while batch := list(islice(left, BATCH)):
            changes, fates = importing.take_in(batch, GROUP, actor, self.original.keystore.name)
            for offer, fate in zip(batch, fates, strict=True):
                offer.material.wipe()
                self._note(offer, fate)
            yield from changes
        yield from self._drives(now_us, actor)
        what = f"{len(self.aliases):,} keys and {len(self.original.drives.drives):,} drives"
        yield occurred(now_us(), "server.takeover", actor, message=f"{what} from {self.original.directory}")

    def _note(self, offer: Offer, fate: Fate) -> None:
        if fate.outcome is ImportOutcome.CONFLICT:
            what = f"{self.original.keystore}: two keys are called {offer.alias} on tape: {fate.message}"
            raise BadFile(what, file="keystore")
        if fate.outcome is ImportOutcome.IMPORTED:
            self.aliases.append(fate.alias)
        else:
            self.left.append((fate.alias, fate.message or "the keystore has it twice"))

    def _drives(self, now_us: Callable[[], int], actor: str) -> Iterator[Change]:
        registry = Registry((), (), (), now_us)
        for drive in self.original.drives.drives:
            changes = registry.create(drive.entry)
            yield from changes
            subject = Subject(drive.entry.serial, drive.entry.wwnn)
            what = f"taken over, {self.original.drives.file}, line {drive.line}"
            yield occurred(now_us(), "drive.enrol", actor, subject=subject, message=what)
