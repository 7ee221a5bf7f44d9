"""How the text of a property is read: a value, or a ValueError that says what would be right."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

LOCAL = "local"  # the service of the same home
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")

_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)


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


def any_text(text: str) -> str:
    """Read text that people can see, or nothing; there may be tabs in it, as Java makes them of C:\\temp."""
    text_or_none(text.replace("\t", " "))
    return text


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


def services(text: str) -> tuple[str, ...]:
    """Read where services are, in order of preference: local, or HOST:PORT; with commas between them."""
    found = tuple(item.strip() for item in text.split(","))
    if len(set(found)) < len(found) or not all(each == LOCAL or _is_address(each) for each in found):
        raise ValueError(f"{LOCAL} or HOST:PORT, each once, with commas between them")
    return found


def _is_address(text: str) -> bool:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:/\[\]]+):([0-9]{1,5})", text, re.ASCII)
    return found is not None and _is_host(found[1].strip("[]")) and 1 <= int(found[2]) <= 65_535


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def some_of(*values: str) -> Callable[[str], frozenset[str]]:
    """Return a reader of words with commas or semicolons between them; all and none stand alone."""

    def read(text: str) -> frozenset[str]:
        found = [word.strip().lower() for word in re.split("[,;]", text)]
        if found in (["all"], ["none"]):
            return frozenset(values if found == ["all"] else ())
        if not set(found) <= set(values):
            raise ValueError(f"all, none, or some of {', '.join(values)}, with commas between them")
        return frozenset(found)

    return read


def file_name(text: str) -> str:
    """Read the name of a file in a directory that another property names."""
    if "/" in plain_text(text) or text in (".", ".."):
        raise ValueError("the name of a file, without a directory")
    return text


def file_or_none(text: str) -> str:
    """Read a path, which may be written as a FILE: URL, or nothing; returns the path."""
    if not re.match("[A-Za-z][A-Za-z0-9+.-]+:", text):
        return text_or_none(text)
    scheme, _, rest = text.partition(":")
    if rest.startswith("//"):
        host_name, slash, rest = rest[2:].partition("/")
        rest = slash + rest if host_name.lower() in ("", "localhost") else ""
    if scheme.lower() != "file" or not rest.strip("/"):
        raise ValueError("a path or a FILE: URL of this machine")
    return plain_text(unquote(rest))


def syslog(text: str) -> str:
    """Read where syslog messages go, or nothing."""
    scheme, separator, address = text.partition("://")
    if text and not (scheme in ("udp", "tcp", "tls") and separator and _is_address(address)):
        raise ValueError("udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, or nothing")
    return text


def address_or_none(text: str) -> tuple[str, int] | None:
    """Read HOST:PORT, or nothing."""
    if text and not _is_address(text):
        raise ValueError("HOST:PORT, or nothing")
    host_name, _, port = text.rpartition(":")
    return (host_name.strip("[]"), int(port)) if text else None


def mailboxes(text: str) -> tuple[str, ...]:
    """Read addresses of mail with commas between them, or nothing."""
    found = tuple(item.strip() for item in text.split(",")) if text else ()
    if not all(_MAILBOX.fullmatch(each) for each in found):
        raise ValueError("addresses like name@example.org, with commas between them, or nothing")
    return found


def mailbox(text: str) -> str:
    """Read one address of mail, or nothing."""
    if len(mailboxes(text)) > 1:
        raise ValueError("one address like name@example.org, or nothing")
    return text


def collector(text: str) -> str:
    """Read where traces go, or nothing."""
    scheme, separator, address = text.partition("://")
    if text and not (scheme in ("http", "https") and separator and _is_address(address)):
        raise ValueError("http://HOST:PORT, https://HOST:PORT, or nothing")
    return text


def webhook(text: str) -> str:
    """Read where a webhook is, or nothing; without TLS only on this machine. A user would be sent nowhere."""
    parts = urlsplit(text)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    fits = parts.scheme == "https" or (parts.scheme == "http" and local)
    plain = text.isascii() and text.isprintable() and " " not in text and "@" not in parts.netloc
    if text and not (fits and plain and _is_host(parts.hostname or "")):
        raise ValueError("https://HOST/… without a user, or http:// to this machine, or nothing")
    _ = parts.port  # ValueError if it is none
    return text
