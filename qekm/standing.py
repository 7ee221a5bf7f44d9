"""Is a store the present one? Open it with all that has seen it, and remember what is in doubt.

A store that is behind a witness stays so until somebody adopts it. One whose anchor cannot be found may only
have started before a disk was mounted: where it stood then is remembered, and an anchor that is found later
and has not seen more than that clears it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from qekm.audit import occurred
from qekm.backup.reading import seen
from qekm.backup.target import Target
from qekm.configuration.settings import Settings
from qekm.estate import BEHIND, UNANCHORED
from qekm.home import Home
from qekm.model import Change, Outcome, Setting
from qekm.sealing import Sealer
from qekm.store import Store, Witness
from qekm.store.anchor import MISSING, behind
from qekm.unlocking import unlock

_log = logging.getLogger(__name__)


class Checking:
    """Logs how far the check of a large store is, once a second, and tells it to whoever waits."""

    def __init__(self, tell: Callable[[str], None] = lambda _status: None) -> None:
        self._rows, self._since, self._tell = 0, time.monotonic(), tell

    def __call__(self, rows: int) -> None:
        self._rows += rows
        if time.monotonic() - self._since >= 1.0:
            self._since = time.monotonic()
            _log.info("checking the store", extra={"fields": {"rows": self._rows}})
            self._tell(f"checking the store: {self._rows:,} rows")


class Opened(Protocol):
    """What is asked of an open store (qekm.store.Store)."""

    behind: str
    anchor_seen: Witness | None

    @property
    def witness(self) -> Witness:
        """Return where the store is."""


def open_store(
    home: Home, settings: Settings, sealer: Sealer, tell: Callable[[int], None] | None = None
) -> Store:
    """Open the store of a home with the anchor and the backups that its settings name; as Store.open."""
    target = Target.of(settings, home.path)
    directory = None if target is None else target.directory
    return Store.open(
        home.store,
        unlock(sealer),
        anchor=home.path / settings["keystore.anchor"],
        witnesses=lambda ring: seen(directory, ring),
        tell=tell,
    )


def doubt(store: Opened, settings: Mapping[str, str], now_us: int, actor: str) -> tuple[str, list[Change]]:
    """Return why no new keys may be given (empty: they may), and what is to be remembered of it.

    settings: the store's own. `store.behind` is set to the same, before its writer starts.
    """
    stood = settings.get(UNANCHORED, "")
    store.behind = reason = settings.get(BEHIND, "") or store.behind
    if settings.get(BEHIND):
        return reason, []
    if reason == MISSING:
        return reason, [] if stood else [
            _told(now_us, actor, reason),
            Setting(UNANCHORED, _dump(store.witness)),
        ]
    if stood and not reason:
        store.behind = reason = behind(_load(stood), True, store.anchor_seen)
        if not reason:
            what = "the anchor is there again, and has not seen more than the store had been"
            return "", [Setting(UNANCHORED, ""), occurred(now_us, "store.anchor", actor, message=what)]
    return reason, [_told(now_us, actor, reason), Setting(BEHIND, reason)] if reason else []


def _told(now_us: int, actor: str, reason: str) -> Change:
    return occurred(now_us, "store.behind", actor, Outcome.FAILURE, message=reason)


def _dump(witness: Witness) -> str:
    return f"{witness.epoch} {witness.sequence} {witness.root.hex()}"


def _load(text: str) -> Witness:
    epoch, sequence, root = text.split(" ")
    return Witness(int(epoch), int(sequence), bytes.fromhex(root))
