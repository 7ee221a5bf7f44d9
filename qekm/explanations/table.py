"""All codes in one table, and how a person's spelling of one finds its row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from qekm.errors import BadArgument
from qekm.explanations.conditions import CONDITIONS
from qekm.explanations.explanation import Explanation
from qekm.explanations.reasons import REASONS, Reason
from qekm.explanations.refusals import REFUSALS
from qekm.explanations.requests import REQUESTS
from qekm.explanations.standard import STANDARD

EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType(
    {
        row.code: row
        for row in sorted((*REFUSALS, *REQUESTS, *CONDITIONS, *STANDARD), key=lambda row: row.code)
    }
)
# EE31, 0xEE31, EE 31, EE/31, EE31h; with the sense key before it, as mainframes and libraries do: 05EE31.
_CODE = re.compile(r"(?:0X)?(?:0?([0-9A-F])[ /:.-]*)?([0-9A-F]{2})H?[ /:.-]*(?:0X)?([0-9A-F]{2})H?")
_LIST = "list them with: qekm errors list"


def explain(code: str) -> Explanation:
    """Return the row of a code, however it is spelt; raises BadArgument that names what comes near."""
    if found := EXPLANATIONS.get(_code(code)):
        return found
    raise _unknown(code)


def look_up(name: str) -> Explanation | Reason:
    """Return the row of a code, or of an error of ours (PORT_IN_USE); raises BadArgument likewise."""
    if found := EXPLANATIONS.get(_code(name)) or REASONS.get(_reason(name)):
        return found
    raise _unknown(name)


def title_of(code: str) -> str:
    """Return what the audit log prints after a code; empty for one that no table has."""
    row = EXPLANATIONS.get(_code(code))
    return row.title if row else ""


def _code(text: str) -> str:
    """Return ASC and ASCQ in four upper-case digits; what is no code as it is."""
    upper = text[:32].strip().upper()
    found = _CODE.fullmatch(upper)
    return found[2] + found[3] if found else upper


def _reason(text: str) -> str:
    """Return a reason in its own spelling: PortInUse, port-in-use, port in use."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text[:64].strip())
    return re.sub(r"[^A-Z0-9]+", "_", words.upper())


def _unknown(text: str) -> BadArgument:
    near = get_close_matches(_code(text), EXPLANATIONS, 3, 0.7)
    near += get_close_matches(_reason(text), REASONS, 3, 0.7)
    hint = f"did you mean {' or '.join(near)}? {_LIST}" if near else _LIST
    return BadArgument(f"{text[:60]!r} is no code and no error that is known here", hint=hint, field="code")
