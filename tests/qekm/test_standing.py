"""What is done about a store that may be an old copy, now and at later starts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from qekm.estate import BEHIND, UNANCHORED
from qekm.model import AuditRecord, Change, Setting
from qekm.standing import doubt
from qekm.store.anchor import MISSING, Witness

HERE = Witness(1, 10, b"r" * 32)


@dataclass
class Opened:
    """A store as it was opened."""

    behind: str = ""
    anchor_seen: Witness | None = None
    witness: Witness = HERE


def settled(changes: list[Change]) -> dict[str, str]:
    """Return the settings among changes."""
    return {each.name: each.value for each in changes if isinstance(each, Setting)}


def events(changes: list[Change]) -> list[str]:
    """Return the events among changes."""
    return [each.event for each in changes if isinstance(each, AuditRecord)]


def test_a_store_that_nothing_is_ahead_of_is_not_in_doubt() -> None:
    assert doubt(Opened(), {}, 1, "server") == ("", [])
    assert doubt(Opened(), {BEHIND: "", UNANCHORED: ""}, 1, "server") == ("", [])


def test_what_is_behind_stays_so_whatever_comes_later() -> None:
    store = Opened("its anchor has seen commit 11")
    reason, changes = doubt(store, {}, 1, "server")
    assert (reason, settled(changes), events(changes)) == (store.behind, {BEHIND: reason}, ["store.behind"])
    later = Opened()
    assert doubt(later, {BEHIND: reason}, 2, "server") == (reason, [])
    assert later.behind == reason, "so its writer leaves the anchor alone"


def test_a_missing_anchor_is_a_doubt_that_an_anchor_found_later_clears() -> None:
    reason, changes = doubt(Opened(MISSING), {}, 1, "server")
    assert (reason, events(changes)) == (MISSING, ["store.behind"])
    stood = settled(changes)
    assert doubt(Opened(MISSING, witness=Witness(1, 20)), stood, 2, "server") == (MISSING, [])
    for seen in (Witness(1, 9, b"o" * 32), Witness(1, 10, b"r" * 32)):
        reason, changes = doubt(Opened("", seen, Witness(1, 30)), stood, 3, "server")
        assert (reason, settled(changes), events(changes)) == ("", {UNANCHORED: ""}, ["store.anchor"])


@pytest.mark.parametrize("seen", [Witness(1, 11, b"r" * 32), Witness(2, 1), Witness(1, 10, b"x" * 32)])
def test_an_anchor_that_had_seen_more_shows_the_old_copy_though_it_went_on_since(seen: Witness) -> None:
    _, changes = doubt(Opened(MISSING), {}, 1, "server")
    store = Opened("", seen, Witness(3, 99))
    reason, later = doubt(store, settled(changes), 2, "server")
    assert reason and store.behind == reason
    assert settled(later) == {BEHIND: reason}
