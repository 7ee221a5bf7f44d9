"""What every code and every error means, and what to do: for people, and for the audit log.

Standard library only: neither the service nor `qekm` loads anything for it.
"""

from qekm.explanations.explanation import Explanation
from qekm.explanations.reasons import REASONS, Reason
from qekm.explanations.table import EXPLANATIONS, explain, look_up, title_of

__all__ = ["EXPLANATIONS", "REASONS", "Explanation", "Reason", "explain", "look_up", "title_of"]
