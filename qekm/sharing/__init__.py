"""Giving keys to another site and taking keys from one: decided in memory, committed by who calls."""

from qekm.sharing.exporting import BATCH, Exporting, Wanted
from qekm.sharing.importing import GROUP, Fate, Importing, ImportOutcome, Offer
from qekm.sharing.pairs import Pairs

__all__ = [
    "BATCH",
    "GROUP",
    "Exporting",
    "Fate",
    "ImportOutcome",
    "Importing",
    "Offer",
    "Pairs",
    "Wanted",
]
