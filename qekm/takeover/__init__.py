"""Taking over an installation of the original: what lies in its directory, and what becomes of it here."""

from qekm.takeover.original import CONFIG, GROUP, Original, read
from qekm.takeover.report import report
from qekm.takeover.takeover import Takeover

__all__ = ["CONFIG", "GROUP", "Original", "Takeover", "read", "report"]
