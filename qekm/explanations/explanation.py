"""What one code is: a row of the tables in this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["refusal", "request", "condition"]
"""refusal: what we answer a drive. request: what a drive asks for. condition: what only drives say."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code with what it means and what to do; actions hold commands in `backticks`."""

    code: str  # ASC and ASCQ in hex, as the audit trail has it: EE31
    kind: Kind
    title: str  # of the twelve that the original's guide lists, its own words; else ours
    sense_keys: tuple[int, ...]
    drive: str  # what a drive or a library means by it
    here: str = ""  # what it means here; empty: nothing of ours says or asks it
    actions: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()  # reasons of our errors that become it (qekm/serving/faults.py)

    @property
    def name(self) -> str:
        """Return what a person reads first: number and title."""
        return f"{self.code} {self.title}"
