"""How the text of a property is read: a value, or a ValueError that says what would be right."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def choice(*values: str) -> Callable[[str], str]:
    """Return a reader of one of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError("one of " + ", ".join(values))
        return text.lower()

    return read


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a reader of a whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise ValueError(f"a whole number from {lowest:,} to {highest:,}")
        return int(text)

    return read


def flag(text: str) -> bool:
    """Read true or false, in any case."""
    return choice("true", "false")(text) == "true"


def plain_text(text: str) -> str:
    """Read text that people can see."""
    if not text or not text.isprintable():
        raise ValueError("text without control characters")
    return text


def text_or_none(text: str) -> str:
    """Read text that people can see, or nothing."""
    return plain_text(text) if text else ""


def words(text: str) -> str:
    """Read words in a shell's quoting (shlex); nothing of a shell's is done with them."""
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"words ({error})") from None
    return text_or_none(text)


def hosts(text: str) -> tuple[str, ...]:
    """Read addresses or host names with commas between them."""
    found = tuple(item.strip() for item in text.split(","))
    if not all(_is_host(each) for each in found):
        raise ValueError("addresses or host names, with commas between them")
    return found


def host(text: str) -> str:
    """Read an address or a host name."""
    if not _is_host(text):
        raise ValueError("an address or a host name")
    return text


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True
