"""Everything that the service owns in memory, read from its store once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qekm.accounts import Accounts
from qekm.allocator import Allocator
from qekm.approvals import Approvals
from qekm.backup.records import Backups
from qekm.certificates import Certificates
from qekm.checkpoints import Checkpoints
from qekm.clock import steady_s
from qekm.configuration.settings import Settings
from qekm.drives import Registry
from qekm.estate import Estate
from qekm.expiring import Ending, endings
from qekm.keystore import Keystore
from qekm.model import Cursor, KeyState, SharedProperty
from qekm.opened import Opened
from qekm.partners import Partners
from qekm.peers import APART, Peers
from qekm.pki import RandomBytes, der
from qekm.protection import NAME as PROTECTED
from qekm.protection import Protection
from qekm.serving import Serving
from qekm.sessions import Sessions
from qekm.sharing import Exporting, Importing, Pairs
from qekm.signing import FrameSigner
from qekm.slots import Slots
from qekm.store import Store

_PARTNERS = 10_000


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners of one estate, one noun each, and the conversation that brings them together."""

    estate_id: bytes
    estate: Estate
    keystore: Keystore
    allocator: Allocator
    registry: Registry
    certificates: Certificates
    approvals: Approvals
    backups: Backups
    protection: Protection
    slots: Slots
    opened: Opened  # who proved a slot
    partners: Partners
    pairs: Pairs | None  # that partners know us by; None in a store of 0.1.0
    exporting: Exporting
    importing: Importing
    serving: Serving
    settings: dict[str, str]  # of the store: small durable facts
    accounts: Accounts
    sessions: Sessions  # who proved a command password
    peers: Peers  # the servers of the estate, this one among them
    checkpoints: Checkpoints  # how far each of them was
    cursors: list[Cursor]  # how much of their journals is here
    shared: list[SharedProperty]  # properties that all of them have in common

    def vendor_of(self, serial: str) -> str:
        """Return the vendor of a drive, as its entry or else the drive itself says; from any thread."""
        drive = self.registry.find(serial)
        return drive.vendor if drive is not None else self.serving.newcomers.get(serial, "")

    def endings(self) -> list[Ending]:
        """Return every certificate in force, ours and others', and when it ends; expiring(…) judges them."""
        partners = self.partners.page(limit=_PARTNERS)
        return endings(self.certificates, self.registry.authorities(), partners)

    @classmethod
    def load(
        cls,
        store: Store,
        settings: Settings,
        server_pem: bytes,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> Owners:
        """Read an open store; `server_pem` is what the service shows. StoreDamaged, StoreFailed."""
        found, ring = store.load(), store.ring
        estate = Estate.load(found.vaults, found.settings, ring)
        audit_key = estate.audit_key.public_key().public_bytes_raw()
        first_state = KeyState.READY if settings["keystore.protect"] == "none" else KeyState.GENERATED
        made = estate.tag, estate.epoch, first_state, estate.instance
        keystore = Keystore(found.keys, ring, now_us, random_bytes, *made)
        backups = Backups(found.backups, found.settings, now_us)
        allocator = Allocator(found.groups, keystore, now_us)
        registry = Registry(found.drives, found.authorities, found.blocked, now_us)
        certificates = Certificates(
            store.estate_id, found.vaults, found.certificates, server_pem, ring, now_us, random_bytes
        )
        peers = Peers(found.peers, certificates.server_name, estate.instance, found.settings.get(APART, ""))
        protection = Protection(
            keystore,
            settings["keystore.protect"],
            backups.protected(settings["backup.sameDisk"]),
            lambda: bool(peers.others),
            estate.instance,
            found.settings.get(PROTECTED, ""),
        )
        approvals = Approvals(found.approvals, now_us, random_bytes, settings["twoPerson"] == "on")
        partners = Partners(found.partners, now_us)
        exporting = Exporting(store.estate_id, keystore, allocator, partners, now_us, random_bytes)
        serving = Serving(
            keystore,
            allocator,
            registry,
            FrameSigner(estate.signer),
            (certificates.signer,),
            settings,
            now_us,
            random_bytes,
            der(estate.diagnosis.certificate),
        )
        sessions = Sessions(
            store.estate_id, lambda: int(settings["admin.sessionMinutes"]), steady_s, random_bytes
        )
        certificates.denied.watch(sessions.end_of)
        return cls(
            store.estate_id,
            estate,
            keystore,
            allocator,
            registry,
            certificates,
            approvals,
            backups,
            protection,
            Slots(found.slots, now_us),
            Opened(steady_s),
            partners,
            Pairs.load(found.vaults, ring),
            exporting,
            Importing(keystore, allocator, partners, now_us),
            serving,
            found.settings,
            Accounts(found.accounts, now_us, steady_s),
            sessions,
            peers,
            Checkpoints(found.checkpoints, estate.instance, audit_key),
            found.cursors,
            found.shared_properties,
        )
