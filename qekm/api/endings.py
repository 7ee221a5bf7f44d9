"""KeystoreService, the part that ends keys: deactivate, compromise, destroy, keep. All of a call or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from qekm.api.consent import Consents
from qekm.api.fields import one_line
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.keys import to_proto
from qekm.approvals import Act
from qekm.audit import occurred
from qekm.backup.records import Backups
from qekm.configuration.settings import Settings
from qekm.dkp.names import fold
from qekm.errors import BadArgument
from qekm.keystore import Keystore
from qekm.model import AuditRecord, Change, Key, KeyState
from qekm.v1 import keystore_pb2 as pb

MOST = 10_000  # aliases a call; they are changed in one transaction
_DAY_US = 86_400 * 1_000_000
_NAMED = 5  # aliases that are told of many


class Endings:
    """Thin: the owner decides, a second person consents, every key has its record."""

    _keystore: Keystore
    _backups: Backups
    _journal: Journal
    _consents: Consents
    _settings: Settings
    _put_aside: Callable[[], list[str]]  # names of stores that a restore has put aside
    _now_us: Callable[[], int]

    async def DeactivateKeys(
        self, request: pb.DeactivateKeysRequest, context: Any
    ) -> pb.DeactivateKeysResponse:
        """Make keys PROCESS_ONLY; UnknownKey, KeyInUse, BadArgument."""
        keys = self._keystore.retire(_checked(request.aliases), KeyState.PROCESS_ONLY)
        await self._record("DeactivateKeys", "key.deactivate", keys)
        return pb.DeactivateKeysResponse(keys=map(to_proto, keys))

    async def CompromiseKeys(
        self, request: pb.CompromiseKeysRequest, context: Any
    ) -> pb.CompromiseKeysResponse:
        """Make keys COMPROMISED; UnknownKey, KeyInUse, BadArgument."""
        reason = one_line(request.reason, "reason")
        keys = self._keystore.retire(_checked(request.aliases), KeyState.COMPROMISED)
        await self._record("CompromiseKeys", "key.compromise", keys, reason)
        return pb.CompromiseKeysResponse(keys=map(to_proto, keys))

    async def DestroyKeys(self, request: pb.DestroyKeysRequest, context: Any) -> pb.DestroyKeysResponse:
        """Have keys destroyed after the waiting time; ApprovalNeeded, UnknownKey, KeyInUse, BadArgument."""
        aliases, days = _checked(request.aliases), self._settings["keystore.destroyDays"]
        wanted = self._keystore.check(aliases, KeyState.DESTROY_PENDING)
        summary = f"destroy {_told(wanted)} in {days} days"
        act = Act.of("destroy", summary, sorted(fold(key.alias) for key in wanted), days)
        consent = await self._consents.require("DestroyKeys", act)
        due_us = self._now_us() + days * _DAY_US
        keys = self._keystore.condemn(aliases, due_us)
        when = f"to be destroyed on {datetime.fromtimestamp(due_us // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
        await self._record("DestroyKeys", "key.condemn", keys, consent.told(when), consent.changes)
        oldest = min(key.created_seq for key in keys)  # a backup holds all keys up to one
        holding = [*self._backups.holding(oldest), *self._put_aside()]
        return pb.DestroyKeysResponse(keys=map(to_proto, keys), backups=holding)

    async def KeepKeys(self, request: pb.KeepKeysRequest, context: Any) -> pb.KeepKeysResponse:
        """Call a destruction off; UnknownKey, KeyInUse, BadArgument."""
        keys = self._keystore.keep(_checked(request.aliases))
        await self._record("KeepKeys", "key.keep", keys)
        return pb.KeepKeysResponse(keys=map(to_proto, keys))

    async def _record(
        self, method: str, event: str, keys: Sequence[Key], message: str = "", also: Iterable[Change] = ()
    ) -> None:
        """Commit keys with a record of each and one of the call, and what else belongs to the same unit."""
        now_us, who = self._now_us(), caller().actor
        records: list[AuditRecord] = [
            occurred(now_us, event, who, alias=key.alias, message=message) for key in keys
        ]
        what = f"{_told(keys)}: {message}" if message else _told(keys)
        await self._journal.commit(method, [*also, *keys, *records], alias=keys[0].alias, message=what)


def _checked(aliases: Sequence[str]) -> Sequence[str]:
    if not 1 <= len(aliases) <= MOST:
        raise BadArgument(f"{len(aliases)} aliases; a call takes 1 to {MOST:,}", field="aliases")
    return aliases


def _told(keys: Sequence[Key]) -> str:
    """Return how many keys and which: all of a few, else the first and the last."""
    if len(keys) <= _NAMED:
        named = ", ".join(key.alias for key in keys)
    else:
        named = f"{keys[0].alias} to {keys[-1].alias}"
    return f"{len(keys)} key{'s' * (len(keys) != 1)}: {named}"
