"""Text that comes from elsewhere, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` with every character that could steer a terminal or break a line as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_line(text: str, most: int = 300) -> str:
    """Return `text` as one line of at most so many characters, a question mark for each that is none."""
    text = text[:most]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
