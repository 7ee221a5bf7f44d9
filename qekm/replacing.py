"""Put a backup in the place of a store that is there, with a second person's approval of exactly this file.

The store that is there is opened and locked first, and stays locked until the new one is in its place. The
approval is used up in it, in its last commit; it is kept beside.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

from qekm.audit import occurred
from qekm.backup.cover import Cover
from qekm.backup.permission import used
from qekm.building import built_in_place_of
from qekm.configuration.settings import Settings
from qekm.epoch import ACTOR
from qekm.errors import BackupDamaged, StoreDamaged, UnknownBackup
from qekm.estate import Estate
from qekm.model import Approval, Change, Outcome
from qekm.offline import commit
from qekm.restoring import Present, Restored, Restorer
from qekm.sealing import KeyRing, Sealer
from qekm.secret import Secret
from qekm.store import Locked, Store
from qekm.unlocking import root_of


def replace_store(restorer: Restorer, settings: Settings, sealer: Sealer) -> Restored:
    """Restore a backup in the place of the store that is there, which `sealer` opens.

    NotInitialised, StoreInUse, ApprovalNeeded, BackupDamaged (also for one of another estate), UnknownBackup,
    StoreDamaged, BadPassword, KeyInUse for keys in use that would be lost.
    """
    home, roots = restorer.home, list[Secret]()

    def unlock(locked: Locked) -> KeyRing:
        roots.append(root_of(locked.slots, sealer))
        return KeyRing(roots[0], locked.estate_id, versions=locked.versions)

    with ExitStack() as stack:
        try:
            store = Store.open(home.store, unlock, anchor=home.path / settings["keystore.anchor"])
        except StoreDamaged as error:
            hint = f"move {home.path} away, keep it, and restore onto an empty one: that takes no approval"
            raise StoreDamaged(error.message, hint=hint, **error.details) from None
        stack.callback(roots[0].wipe)
        stack.callback(store.close)
        sha256 = _digest(restorer)
        approval = _approval(store, settings, sha256, restorer)
        kept = datetime.fromtimestamp(restorer.now_us() // 1_000_000, UTC).strftime(
            "before-restore-%Y%m%dT%H%M%SZ"
        )

        def root(_cover: Cover) -> Secret:
            return Secret(roots[0].reveal())

        with built_in_place_of(home, kept) as new:
            restored = restorer.fill(
                new, root, _present(store, restorer.home.path / settings["keystore.anchor"])
            )
            if restored.extracted.sha256 != sha256:
                raise BackupDamaged("the file changed while it was read", backup=restorer.wanted.file.name)
            _use_up(store, approval, restorer, restored)
            stack.callback(store.release().close)  # after the exchange
        return replace(restored, kept=kept)


def _present(store: Store, anchor: Path) -> Present:
    """Return what the store that is there knows, and a backup may not."""
    return Present(store.witness.epoch, tuple(store.load().keys), frozenset([anchor.parent]))


def _digest(restorer: Restorer) -> bytes:
    path = restorer.wanted.file
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").digest()
    except FileNotFoundError:
        raise UnknownBackup(f"there is no file {path}", backup=path.name) from None


def _approval(store: Store, settings: Settings, sha256: bytes, restorer: Restorer) -> Approval | None:
    """Return the approval, used up, which is to be committed; None where nobody has to approve."""
    if settings["twoPerson"] != "on":
        return None
    return used(store.load().approvals, sha256, restorer.now_us())


def _use_up(store: Store, approval: Approval | None, restorer: Restorer, restored: Restored) -> None:
    """Write the last commit of the store that is about to be replaced."""
    found = store.load()
    estate = Estate.load(found.vaults, found.settings, store.ring)
    who = f"approved by {approval.decider}, request {approval.approval_id}" if approval else "twoPerson=off"
    what = f"this store is replaced by {restorer.wanted.file.name}; {who}; {restored.lost}"
    record = occurred(restorer.now_us(), "server.restore", ACTOR, Outcome.INTENT, message=what)
    changes: list[Change] = [approval] if approval else []
    commit(store, estate, [*changes, record])
