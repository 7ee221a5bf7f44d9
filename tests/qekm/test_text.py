"""Text that comes from elsewhere."""

from __future__ import annotations

import pytest

from qekm.text import as_line, printable


@pytest.mark.parametrize("text", ["", "plain", "Bänder 磁带"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert (printable(text), as_line(text)) == (text, text)


def test_what_steers_a_terminal_is_seen_and_does_nothing() -> None:
    text = "a\x1b[2J\nb\u202e"
    assert printable(text) == r"a\x1b[2J\nb\u202e"
    assert as_line(text) == "a?[2J?b?"
    assert as_line("\n" * 500, 9) == "?" * 9
