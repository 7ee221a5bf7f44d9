"""What becomes of each key that somebody offers. None that is here is ever changed, let alone overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from qekm.allocator import Allocator, check_name
from qekm.audit import occurred
from qekm.dkp.codes import Fault
from qekm.dkp.names import alias_to_dki, dki_to_alias
from qekm.errors import BadArgument, BadFile, KeyExists, ReadOnly, StoreDamaged, UnknownGroup
from qekm.interchange import cms
from qekm.keystore import Keystore
from qekm.model import AuditRecord, Change, KeyState, OnExhaustion, Outcome, Partner
from qekm.partners import Partners
from qekm.secret import Secret
from qekm.sharing.pairs import Pairs

GROUP = "imported"  # where keys go that are not told where
_SHOWN = 24  # characters of a name that somebody else chose: a report of 100,000 fits a message


class ImportOutcome(IntEnum):
    """What became of a key; numbers as qekm.v1.ImportOutcome."""

    IMPORTED = 1
    PRESENT = 2
    CONFLICT = 3
    UNUSABLE = 4


_S = ImportOutcome


@dataclass(frozen=True, slots=True)
class Offer:
    """A key that somebody offers; nothing of it is checked yet. dki: empty, or what a file says of it."""

    alias: str
    material: Secret
    dki: bytes = b""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one offer, and why, if it was not taken."""

    alias: str
    outcome: ImportOutcome
    message: str = ""


class Importing:
    """Decides batch by batch, so that an import that was cut off is done by doing it again."""

    def __init__(
        self, keystore: Keystore, allocator: Allocator, partners: Partners, now_us: Callable[[], int]
    ) -> None:
        self._keystore, self._allocator, self._partners = keystore, allocator, partners
        self._now_us = now_us

    def check(self, group: str) -> None:
        """Raise ReadOnly if no key can be taken in, BadArgument if no group can have this name."""
        if reason := self._keystore.read_only:
            raise ReadOnly(f"no keys are taken in: {reason}", reason=reason)
        check_name(group)

    def unseal(self, data: bytes, pairs: Pairs) -> tuple[list[Offer], Partner]:
        """Return what a file offers and which partner signed it; BadFile, BadCertificate.

        From a thread: a large file takes a second.
        """
        senders: list[Partner] = []

        def known(chain: cms.Chain) -> None:
            senders.append(self._partners.sender(chain[0]))

        try:
            parcel, _ = cms.unseal(data, pairs.decryption_key, pairs.encryption, known)
        except BadFile as error:
            if pairs.former is None:
                raise
            try:
                parcel, _ = cms.unseal(data, pairs.former.decryption_key, pairs.former.encryption, known)
            except BadFile:
                raise error from None  # what is wrong with it for the pair in force
        return [Offer(key.alias, key.material, key.dki) for key in parcel.keys], senders[-1]

    def take_in(
        self, offers: Sequence[Offer], group: str, actor: str, source: str
    ) -> tuple[list[Change], list[Fate]]:
        """Take what can be taken; all that is returned first is to be committed as one unit.

        The group is made before its first key. Nothing that an offer can be makes this fail: half of a batch
        would be in memory and never on disk.
        """
        changes: list[Change] = []
        fates = [self._take(offer, group, changes) for offer in offers]
        changes += [self._record(fate, actor, source) for fate in fates if fate.outcome is not _S.PRESENT]
        return changes, fates

    def _take(self, offer: Offer, group: str, changes: list[Change]) -> Fate:
        try:
            alias = _spelled(offer)
            self._keystore.check_new(alias, offer.material)
        except BadArgument as error:
            return Fate(_shown(offer.alias), _S.UNUSABLE, error.message)
        except StoreDamaged as error:  # the one that is here
            return Fate(alias, _S.CONFLICT, error.message)
        except KeyExists as error:
            return self._met(alias, error)
        changes += self._make_group(group)
        changes.append(self._keystore.take_in(alias, offer.material, group))
        return Fate(alias, _S.IMPORTED)

    def _met(self, alias: str, error: KeyExists) -> Fate:
        """Return the fate of an offer whose name a key has: the same one, or another."""
        there = self._keystore.by_alias(error.details["alias"])
        if there.state is KeyState.DESTROYED:
            return Fate(alias, _S.CONFLICT, "the key of this alias was destroyed here")
        if error.details["same"] != "yes":
            return Fate(alias, _S.CONFLICT, error.message)
        going = "it is to be destroyed" if there.state is KeyState.DESTROY_PENDING else ""
        return Fate(alias, _S.PRESENT, going)

    def _make_group(self, name: str) -> list[Change]:
        """Return a new group, unless it is there. It gives out no keys, so it is not to be filled up."""
        try:
            self._allocator.find(name)
        except UnknownGroup:
            return self._allocator.create(name, OnExhaustion.REFUSE)
        return []

    def _record(self, fate: Fate, actor: str, source: str) -> AuditRecord:
        taken = fate.outcome is _S.IMPORTED
        outcome = Outcome.SUCCESS if taken else Outcome.FAILURE
        message = source if taken else f"{source}: {fate.message}"
        return occurred(self._now_us(), "key.import", actor, outcome, alias=fate.alias, message=message)


def _spelled(offer: Offer) -> str:
    """Return an offer's alias in its one spelling; BadArgument for none, or for a DKi that is another's."""
    try:
        dki = alias_to_dki(offer.alias)
    except Fault:
        raise BadArgument("this is no name of a key that tape drives use", field="alias") from None
    if offer.dki not in (b"", dki):
        raise BadArgument("its DKi is another alias's", field="dki")
    return dki_to_alias(dki)


def _shown(name: str) -> str:
    """Return a name that somebody else chose, short and fit for records and terminals."""
    return "".join(each if " " <= each <= "~" else "?" for each in name[:_SHOWN])
