"""Text that comes from elsewhere, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` with every character that could steer a terminal or break a line as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
