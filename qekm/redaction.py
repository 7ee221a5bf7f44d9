"""Keep secrets out of what messages print: protobuf for Python ignores `debug_redact`, its classes are told.

Every generated module calls `redact` at its end (hatch_build.py), so that no class is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def redact(names: Mapping[str, Any]) -> None:
    """Have every message class among a module's names that can hold a secret print its name only."""
    for value in list(names.values()):
        descriptor: Any = getattr(value, "DESCRIPTOR", None)
        if isinstance(value, type) and hasattr(descriptor, "fields") and holds_secret(descriptor):
            shown = f"{descriptor.name}(…)"
            value.__repr__ = value.__str__ = lambda _self, shown=shown: shown  # type: ignore[assignment,misc]


def holds_secret(descriptor: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Tell whether a message has a field marked debug_redact, itself or in a message within."""
    if descriptor.full_name in seen:
        return False
    seen |= {descriptor.full_name}
    return any(
        field.GetOptions().debug_redact
        or (field.message_type is not None and holds_secret(field.message_type, seen))
        for field in descriptor.fields
    )
