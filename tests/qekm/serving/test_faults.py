"""Every leaf of the error tree has its code, chosen and not forgotten."""

from __future__ import annotations

import pytest

from qekm import errors
from qekm.dkp.codes import Code
from qekm.errors import QekmError
from qekm.serving.faults import CODES, INTERNAL, fault_of


def leaves(kind: type[QekmError] = QekmError) -> set[type[QekmError]]:
    below = set(kind.__subclasses__())
    return {kind} if not below else set().union(*map(leaves, below))


def test_the_table_is_total_and_names_nothing_twice() -> None:
    ours = {leaf for leaf in leaves() if leaf.__module__.startswith(errors.__name__)}
    assert CODES.keys() | INTERNAL == ours
    assert not CODES.keys() & INTERNAL


@pytest.mark.parametrize("leaf", sorted(CODES, key=repr))
def test_an_error_with_a_code_keeps_its_message(leaf: type[QekmError]) -> None:
    fault = fault_of(leaf("what is wrong"))
    assert (fault.code, fault.text) == (CODES[leaf], "what is wrong")


@pytest.mark.parametrize("leaf", sorted(INTERNAL, key=repr))
def test_an_internal_error_is_ee0f_and_says_nothing(leaf: type[QekmError]) -> None:
    fault = fault_of(leaf("the disk of host 10.1.2.3 is full"))
    assert (fault.code, fault.text) == (Code.EE0F, "")
