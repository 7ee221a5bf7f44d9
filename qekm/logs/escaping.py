"""Put any text on one line, so that it can be read back exactly and forges nothing."""

from __future__ import annotations

_BACKSLASH = "\\"


def escape(text: str) -> str:
    """Return printable text: a backslash is doubled, what cannot be seen becomes \\uNNNN or \\UNNNNNNNN.

    Line ends of every kind, control characters, those that turn the direction of writing round, lone halves
    of surrogate pairs: whatever Python does not call printable.
    """
    if text.isprintable() and _BACKSLASH not in text:
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == _BACKSLASH:
        return _BACKSLASH * 2
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
