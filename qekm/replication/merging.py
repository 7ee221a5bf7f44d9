"""What becomes of a row that another server has changed: decided against memory, which is changed at once.

Keys are joined (keys.py), uses of keys are added, and of everything else the later change holds. What is
returned goes into the store as one unit, each row with its entry for the journal: the sender's, where the row
is now as it was sent, or one of this server's own, so that the sender hears what it did not know.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qekm.errors import QekmError
from qekm.estate import UNERASED
from qekm.model import (
    Account,
    Authority,
    BlockedKey,
    Certificate,
    Change,
    Drive,
    Entry,
    Group,
    Key,
    Partner,
    Peer,
    Removal,
    Setting,
    SharedProperty,
    Vault,
)
from qekm.owners import Owners
from qekm.replication import conflicts, verifying
from qekm.replication.keys import join
from qekm.replication.verifying import refused
from qekm.sealing import KeyRing
from qekm.store import Line, Stamps
from qekm.store.shared import SHARED, TABLES

_log = logging.getLogger(__name__)

KEYS, USES, GROUPS, PARTNERS = "keys", "cartridges", "groups", "partners"  # tables
_NOBODY = b"\xff" * 8  # an origin after that of every instance
Join = Callable[[Key, Key], Key]
Heard = Callable[[Any], None]  # given a noun that holds from now on, or the Removal of one


class Rows(Protocol):
    """The store, as far as merging needs it."""

    @property
    def ring(self) -> KeyRing:
        """Return what opens keys and vaults."""

    @property
    def stamps(self) -> Stamps | None:
        """Return when rows were changed; None before there was a peer."""


class Merging:
    """Decides for one server; from the event loop only."""

    def __init__(self, owners: Owners, store: Rows, join: Join = join) -> None:
        self._owners, self._store, self._join_keys = owners, store, join
        self._heard: dict[str, list[Heard]] = defaultdict(list)
        self._takes = self._taking()
        self._drops = self._dropping()

    @property
    def conflicts(self) -> dict[str, str]:
        """Return by alias why a key of another server is not here."""
        return conflicts.told(self._owners.settings)

    def start(self) -> None:
        """Have the clock of rows know the drives' entries, so that it tells a change from a sign of life."""
        if self._store.stamps is not None:
            for drive in self._owners.registry.entries():
                self._store.stamps.know(drive)

    def watch(self, table: str, heard: Heard) -> None:
        """Call `heard` with each row of a table that another server changed, once memory has it."""
        self._heard[table].append(heard)

    def take(self, line: Line) -> list[Change]:
        """Return what a row changes; nothing for one that is known, or was overtaken. BatchRefused."""
        verifying.check_place(line)
        if line.removed:
            return self._remove(line)
        noun = verifying.noun_of(line)
        if isinstance(noun, Key):
            return self._join(noun, line)
        if line.table == USES:
            return [noun, line.entry]
        if isinstance(noun, Peer):
            verifying.check_peer(noun, line)
        ended = self._ended(noun, line) if isinstance(noun, Peer) else []
        if ended or not self._stamps.wins(line.table, line.key, line.stamp_us, line.origin):
            return ended
        if isinstance(noun, Partner):
            return self._take_partner(noun, line)
        if line.table in self._takes:
            try:
                self._takes[line.table](noun)
            except (QekmError, ValueError) as error:
                raise refused(line, str(error)) from None
        return self._holds(line, noun)

    @property
    def _stamps(self) -> Stamps:
        assert self._store.stamps is not None, "rows are taken once there is a journal"
        return self._store.stamps

    def _holds(self, line: Line, what: Any) -> list[Change]:
        """Return a row, or its removal, that is as the other server has it, and tell of it."""
        self._stamps.see(line.entry)
        for heard in self._heard[line.table]:
            heard(what)
        return [what, line.entry]

    def _ended(self, peer: Peer, line: Line) -> list[Change]:
        """Return the removal of a server, where the other side noted something of it later: it holds.

        Who noted it had not heard of the removal, and may be the removed server itself.
        """
        ended = self._owners.peers.ended(peer)
        later = self._stamps.wins(line.table, line.key, line.stamp_us, line.origin)
        if ended is None or later is (ended is peer):
            return []  # the later of the two is what holds anyway
        if later:
            self._stamps.see(line.entry)
        self._owners.peers.take(ended)
        return [ended, self._stamps.entry(line.table, line.key)]

    # Keys.

    def _join(self, key: Key, line: Line) -> list[Change]:
        """Return a key as it is now that both servers' knowledge of it is here, nothing if none is new."""
        verifying.check_key(key, line)
        keystore = self._owners.keystore
        own = keystore.by_alias(key.alias) if keystore.has(key.alias) else None
        if own is not None and own.key_id != key.key_id:
            return self._conflict(own, key)
        joined = key if own is None else self._join_keys(own, key)
        if joined == own:
            return []
        if key.sealed and (own is None or own.sealed != key.sealed):
            verifying.check_material(key, self._store.ring, line)
        changes = self._expect(joined.group, line)
        keystore.take(joined)
        changes += self._holds(line, joined)
        if joined != key:
            changes[-1] = self._stamps.entry(KEYS, key.key_id)
        if own is not None and own.sealed and not joined.sealed:
            self._owners.settings[UNERASED] = "yes"
            changes.append(Setting(UNERASED, "yes"))
        return changes

    def _conflict(self, own: Key, key: Key) -> list[Change]:
        """Name two keys of one alias. Neither is given up: tapes may have been written with either."""
        noted = conflicts.note(self._owners.settings, own, key)
        if noted is None:
            return []
        self._owners.settings[noted.name] = noted.value
        _log.error("key %s: %s", own.alias, self.conflicts[own.alias])
        return [noted]

    def _expect(self, name: str, line: Line) -> list[Change]:
        """Return a group made for a key if it is not here: its own row comes later, and holds then."""
        try:
            changes: list[Change] = [*self._owners.allocator.expect(name)]
        except QekmError as error:
            raise refused(line, error.message) from None
        if not changes:
            return []
        # Later than its removal, if it was removed, and earlier than whatever anybody says of it since.
        stamp_us, _ = self._stamps.last(GROUPS, name)
        entry = Entry(GROUPS, name, stamp_us, _NOBODY)
        self._stamps.see(entry)
        return [*changes, entry]

    # What is removed, and what may not be.

    def _remove(self, line: Line) -> list[Change]:
        if not self._stamps.wins(line.table, line.key, line.stamp_us, line.origin):
            return []
        drop = self._drops.get(line.table)
        if drop is None:
            raise refused(line, "a row of this table is never removed")
        kept = drop(line.key)
        if kept is None:
            removal: Any = Removal(SHARED[line.table].noun, line.key)  # type: ignore[arg-type]
            return self._holds(line, removal)
        self._stamps.see(line.entry)
        return [kept, self._stamps.entry(line.table, line.key)]  # needed here: asserted again, and later

    def _dropping(self) -> Mapping[str, Callable[[Any], Change | None]]:
        """Return what forgets a row of each table, or returns it where it has to stay."""
        owners = self._owners
        return {
            TABLES[Drive]: owners.registry.drop_drive,
            TABLES[BlockedKey]: owners.registry.drop_blocked,
            TABLES[Authority]: owners.registry.drop_authority,
            TABLES[Account]: owners.accounts.drop,
            TABLES[Partner]: owners.partners.drop,
            TABLES[Group]: owners.allocator.drop,
            TABLES[SharedProperty]: lambda _name: None,
        }

    # What changes.

    def _taking(self) -> Mapping[str, Callable[[Any], object]]:
        """Return what takes a row of each table that memory has; others are watched by whoever has them."""
        owners = self._owners
        return {
            TABLES[Drive]: self._take_drive,
            TABLES[Authority]: owners.registry.take,
            TABLES[BlockedKey]: owners.registry.take,
            TABLES[Group]: owners.allocator.take,
            TABLES[Certificate]: owners.certificates.take,
            TABLES[Vault]: self._take_vault,
            TABLES[Account]: self._take_account,
            TABLES[Peer]: owners.peers.take,
        }

    def _take_drive(self, drive: Drive) -> None:
        self._owners.registry.take(drive)
        self._stamps.know(drive)

    def _take_vault(self, vault: Vault) -> None:
        if vault.sealed:
            self._store.ring.open_vault(vault).wipe()
        self._owners.certificates.take(vault)

    def _take_account(self, account: Account) -> None:
        if self._owners.accounts.take(account):
            self._owners.sessions.end_all(account.actor)

    def _take_partner(self, partner: Partner, line: Line) -> list[Change]:
        """Take a partner; of two of one certificate the later by name goes, here and everywhere."""
        gone = self._owners.partners.take(partner)
        changes: list[Change] = []
        held = [] if partner.name in gone else self._holds(line, partner)
        for name in gone:  # before the one that stays is written: no two rows have one certificate
            changes += [Removal(Partner, name), self._stamps.entry(PARTNERS, name, removed=True)]
        return changes + held
