"""Whatever a value holds, it stays on its line and can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.logs.escaping import escape
from tests.qekm.logs.reading import plain

ANY_TEXT = st.text(st.characters(codec=None))  # lone surrogates, too


@given(ANY_TEXT)
def test_what_was_escaped_reads_back_the_same_and_is_one_printable_line(text: str) -> None:
    escaped = escape(text)
    assert escaped.isprintable()
    assert escaped.encode().decode() == escaped  # no surrogate is left
    assert plain(escaped) == text


@given(ANY_TEXT, ANY_TEXT)
def test_no_two_texts_look_the_same(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("E01001L4", "E01001L4"),
        ("a\n  ]\nb", "a\\u000a  ]\\u000ab"),
        ("\\n", "\\\\n"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\u2028\u0085\x7f", "\\u2028\\u0085\\u007f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
        ("Magdeburg-Süd", "Magdeburg-Süd"),
    ],
)
def test_what_is_shown_of_a_value(text: str, shown: str) -> None:
    assert escape(text) == shown
