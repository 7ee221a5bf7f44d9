"""What became of properties, in words for the trail; and what they were when the service last had them.

Pure. No password is in any of it: Settings has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from qekm.configuration.settings import Settings
from qekm.model import Setting

NAME = "configuration"  # of the store's setting that remembers
MOST_TOLD = 20


def remembered(settings: Settings) -> Setting:
    """Return what the store remembers of settings: those that are not the defaults."""
    table = settings.table
    found = {name: settings.text(name) for name in table if settings.text(name) != table[name].default}
    return Setting(NAME, json.dumps(found, sort_keys=True))


def recall(settings: Mapping[str, str]) -> dict[str, str] | None:
    """Return the texts of properties that the store's own settings remember, None if there are none yet."""
    text = settings.get(NAME)
    return None if text is None else {str(name): str(value) for name, value in json.loads(text).items()}


def since(before: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Return what is another now than it was when `remembered` was made."""
    table = settings.table
    return tuple(
        told(name, before.get(name, table[name].default), settings.text(name))
        for name in table
        if before.get(name, table[name].default) != settings.text(name)
    )


def told(name: str, old: str, new: str) -> str:
    """Return one property's change in words."""
    return f"{name}: {old or '(empty)'} -> {new or '(empty)'}"


def joined(changes: Iterable[str]) -> str:
    """Return changes as one text, the first of them if they are many."""
    found = tuple(changes)
    more = (f"and {len(found) - MOST_TOLD:,} more",) if len(found) > MOST_TOLD else ()
    return "; ".join(found[:MOST_TOLD] + more)
