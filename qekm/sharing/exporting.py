"""Which keys leave, for whom, what is on record before they do, and the file that they leave in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from qekm.allocator import Allocator
from qekm.approvals import Act
from qekm.audit import occurred
from qekm.dkp.names import fold
from qekm.errors import BadArgument, KeyInUse, TooMany, UnknownKey
from qekm.interchange import cms
from qekm.interchange.parcel import MAX_KEYS, SharedKey
from qekm.keystore import READABLE, Keystore, never_given
from qekm.model import AuditRecord, Key, Outcome, Partner
from qekm.partners import Partners
from qekm.sharing.pairs import Pairs

BATCH = 64  # keys a commit: 1 ms in which no drive is served
MOST_ALIASES = 10_000  # a call
_SHOWN = 8  # bytes of a fingerprint, for the person who approves


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export is of: keys by alias, or those of a group; and whom it is for, None for in clear."""

    aliases: tuple[str, ...]
    group: str
    partner: Partner | None


class Exporting:
    """Decides; keys change nothing by being given to somebody, neither their state nor their group."""

    def __init__(
        self,
        estate_id: bytes,
        keystore: Keystore,
        allocator: Allocator,
        partners: Partners,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._estate_id, self._keystore, self._allocator = estate_id, keystore, allocator
        self._partners, self._now_us, self._random_bytes = partners, now_us, random_bytes

    def wanted(self, aliases: Sequence[str], group: str, partner: str) -> Wanted:
        """Return what is asked for; BadArgument, UnknownPartner, BadCertificate of one that has ended."""
        if bool(aliases) == bool(group):
            raise BadArgument("an export names aliases, or a group", field="aliases")
        if len(aliases) > MOST_ALIASES:
            raise BadArgument(f"{len(aliases)} aliases; a call exports {MOST_ALIASES:,}", field="aliases")
        found = self._partners.find(partner) if partner else None
        if found is not None:
            self._partners.recipient(found)
        return Wanted(tuple(aliases), group, found)

    def choose(self, wanted: Wanted) -> list[Key]:
        """Return the keys of an export; of a group all that may leave, by name all that are named.

        From a thread: a group is found by a pass over all keys. UnknownKey (also for a group without any that
        may leave), UnknownGroup, KeyInUse, TooMany.
        """
        if wanted.group:
            self._allocator.find(wanted.group)
            every = list(self._keystore)  # at once, whatever the event loop does meanwhile
            keys = [key for key in every if key.group == wanted.group and not _why_not(key)]
            if not keys:
                raise UnknownKey(f"group {wanted.group!r} has no key that may be exported")
        else:
            keys = list({fold(alias): self._keystore.by_alias(alias) for alias in wanted.aliases}.values())
            for key in keys:
                _check(key)
        if len(keys) > MAX_KEYS:
            raise TooMany(f"{len(keys):,} keys; an export has at most {MAX_KEYS:,}", limit=str(MAX_KEYS))
        return keys

    def act(self, wanted: Wanted, keys: Sequence[Key]) -> Act:
        """Return the act that a second person approves: this group, or these keys, for this certificate.

        Which keys a group has is not part of it: drives go on writing between the asking and the doing.
        """
        first, last = min(key.alias for key in keys), max(key.alias for key in keys)
        named = f"{len(keys):,} keys, {first} to {last}" if len(keys) > 1 else f"1 key, {first}"
        chosen = f"all of group {wanted.group}, now {named}" if wanted.group else named
        summary = f"export {chosen}: {_to_whom(wanted.partner)}"
        recipient = wanted.partner.fingerprint if wanted.partner else b""
        return Act.of("export", summary, wanted.group, sorted(map(fold, wanted.aliases)), recipient)

    def records(self, keys: Iterable[Key], actor: str, partner: Partner | None) -> list[AuditRecord]:
        """Return what must be on disk before these keys leave."""
        now_us, message = self._now_us(), _to_whom(partner)
        return [
            occurred(now_us, "key.export", actor, Outcome.INTENT, alias=key.alias, message=message)
            for key in keys
        ]

    def open(self, keys: Iterable[Key]) -> list[SharedKey]:
        """Return keys with their material, as they are now; StoreDamaged, UnknownKey, KeyInUse."""
        opened: list[SharedKey] = []
        try:
            for key in (self._keystore.by_alias(each.alias) for each in keys):
                material = self._keystore.open(key)
                opened.append(SharedKey(key.alias, material, key.group, key.create_time_us))
        except BaseException:
            for each in opened:
                each.material.wipe()
            raise
        return opened

    def seal(self, keys: Iterable[SharedKey], partner: Partner, pairs: Pairs) -> bytes:
        """Return the file for a partner; takes a second for 100,000 keys. BadCertificate."""
        recipient = self._partners.recipient(partner)
        return cms.seal(keys, recipient, pairs.sender, self._estate_id, self._now_us(), self._random_bytes)


def _to_whom(partner: Partner | None) -> str:
    if partner is None:
        return "in clear"
    return f"for partner {partner.name}, certificate {partner.fingerprint[:_SHOWN].hex()}"


def _check(key: Key) -> None:
    if reason := _why_not(key):
        never = "export it once a cartridge was written with it" if never_given(key) else None
        raise KeyInUse(f"key {key.alias} {reason}", hint=never, alias=key.alias)


def _why_not(key: Key) -> str:
    """Return why a key may not leave, empty if it may."""
    if never_given(key):
        return "was never used: exported, two sites could give it to two cartridges"
    return "" if key.state in READABLE else f"is {key.state.name}"
