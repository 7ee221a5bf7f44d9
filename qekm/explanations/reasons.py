"""What our own errors mean to people and programs, from the error tree itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qekm.errors import QekmError, exit_code
from qekm.explanations.refusals import REFUSALS

INTERNAL = "EE0F"  # what a drive is told of an error that no other code lists


@dataclass(frozen=True, slots=True)
class Reason:
    """An error as a program sees it (google.rpc.ErrorInfo.reason)."""

    reason: str  # PORT_IN_USE
    meaning: str
    exit_code: int  # of a program that ends with it
    hint: str  # what is advised unless the error says better
    code: str  # what a drive would be told


def _meaning(leaf: type[QekmError]) -> str:
    """Return the first line of a leaf's docstring, without the details that are for programs."""
    line = (leaf.__doc__ or "").strip().partition("\n")[0]
    return line.partition("; details")[0].rstrip(".") + "."


def _reasons() -> Mapping[str, Reason]:
    codes = {reason: row.code for row in REFUSALS for reason in row.errors}
    leaves = [leaf for category in QekmError.__subclasses__() for leaf in category.__subclasses__()]
    return MappingProxyType(
        {
            leaf.reason(): Reason(
                leaf.reason(),
                _meaning(leaf),
                exit_code(leaf("")),
                leaf.hint,
                codes.get(leaf.reason(), INTERNAL),
            )
            for leaf in leaves
        }
    )


REASONS = _reasons()
