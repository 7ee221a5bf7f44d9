"""The error tree and what a program ends with."""

from __future__ import annotations

import pytest

from qekm.errors import EXIT_CODES, EXIT_VERDICT, QekmError, UnknownKey, exit_code

CATEGORIES = QekmError.__subclasses__()
LEAVES = [leaf for category in CATEGORIES for leaf in category.__subclasses__()]


def test_every_category_has_an_exit_code_of_its_own_that_means_nothing_else() -> None:
    assert set(EXIT_CODES) == set(CATEGORIES)
    codes = list(EXIT_CODES.values())
    assert len(set(codes)) == len(codes)
    assert not {0, 1, EXIT_VERDICT} & set(codes)
    assert max(codes) < 64


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_ends_a_program_as_its_category_does_and_has_a_reason_for_programs(
    leaf: type[QekmError],
) -> None:
    assert exit_code(leaf("what is wrong")) == EXIT_CODES[leaf.__mro__[1]]
    assert leaf.reason().isupper()
    assert len(leaf.reason()) <= 63
    assert leaf.__subclasses__() == []


def test_what_is_not_of_the_tree_ends_a_program_with_1() -> None:
    assert exit_code(RuntimeError("x")) == 1


def test_an_error_carries_message_advice_and_details_apart() -> None:
    error = UnknownKey("no key has this alias", alias="QKM000000000000000001")
    assert (str(error), error.advice) == ("no key has this alias", "list the keys with: qekm keys list")
    assert error.details == {"alias": "QKM000000000000000001"}
    assert UnknownKey("x", hint="").advice == ""
