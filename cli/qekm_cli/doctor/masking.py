"""What is taken out of a bundle whatever was asked for: passwords, addresses that let in, keys. Pure.

The logs have none of it by themselves; they are masked all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import javaproperties

from qekm.doctor.openers import SECRET_FILES, names_a_file
from qekm.properties import PROPERTIES, Table, is_password
from qekm.properties.lines import ENCODING

MASKED = "(masked)"
# Parts of names whose values are masked. The path of a file that holds a secret is none itself.
_HIDING = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "webhook",
    "credential",
    "authorization",
    "apikey",
    "cookie",
)
_PATHS = ("file", "directory", "path", "module")
_COMMAND = "command"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+")
# A password in a URL may have quotes in it; what ends a string of JSON after a port is none.
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)(?![^\s/:]*:\d{1,5}[\"'])[^\s/@:\"'<>]*:[^\s/]*@")
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_WORD = (
    r"(?:(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|authorization|cookie|credential|kennwort|passwort)s?"
    r"|(?<![A-Za-z])(?:pin|pw)|(?-i:(?<=[a-z])P(?:in|IN)))"
)
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?"
# A value without quotes may have spaces in it: all that is left of its line is masked.
_SPOKEN = re.compile(
    rf"(?i)({_WORD}(?:\\*[\"'])?\s*[=:]\s*|--[a-z-]{{0,40}}{_WORD}(?:[\"']?,)?\s+)({_QUOTED}|[^\n]+)"
    rf"|({_WORD}\s+(?:is|was)\s+)(?:{_QUOTED}|\S+)"
)
# A word with nothing between it and the secret: bearer TOKEN, PIN 123456, -u USER:PASSWORD.
_BARE = re.compile(
    r"(?i)(\bbearer\s+)(?!token\b|\(masked\))[^\s\"']+|((?<![A-Za-z])pin\s+)\d{4,}\b"
    r"|((?<!\S)(?:-u\s*|--(?:proxy-)?user[=\s]\s*))"
    r"(?:\"[^\"\n:]*:[^\"\n]*\"|'[^'\n:]*:[^'\n]*'|[^\s:\"']+:\S+)"
)
_REFUSED = re.compile(r"(?<=, not )(['\"]).*?\1")  # the value of a property that cannot be used
_NOBODY = re.compile(r"(?<=there is no property )[^\n\"]+")  # a secret in a line of its own is such a name
_LONG = re.compile(
    r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[: -]){15,}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])"
    r"|(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{4}[ -]){7,}[0-9A-Fa-f]{4}(?![0-9A-Fa-f])"
    r"|(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{8}[: -]){3,}[0-9A-Fa-f]{8}(?![0-9A-Fa-f])"
    r"|(?<![0-9A-Fa-f])[0-9A-Fa-f]{32,}(?![0-9A-Fa-f])|(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{40,}={0,2}"
)


def is_hidden(name: str) -> bool:
    """Tell whether the value of a property, known or not, is masked."""
    lower = name.lower()
    if is_password(name):
        return True
    return any(word in lower for word in _HIDING) and not lower.endswith(_PATHS)


Exists = Callable[[str], bool]
"""Tells whether a file of this name, as a property has it, is there."""


def nowhere(name: str) -> bool:
    """Tell that there is no such file."""
    return False


def shown(name: str, value: str, *, known: bool = True, exists: Exists = nowhere) -> str:
    """Return the value of a property as the bundle has it; of one that nobody knows, nothing is shown.

    The name of a secret's file is shown if it can be told from the secret itself.
    """
    if value and (not known or is_hidden(name)):
        return MASKED
    if name in SECRET_FILES and not (names_a_file(value, _default(name)) or exists(value)):
        return MASKED
    if name.lower().endswith(_COMMAND) and value:
        return f"{value.split(maxsplit=1)[0]} {MASKED}" if len(value.split()) > 1 else value
    return without_doors(value)


def _default(name: str) -> str:
    return PROPERTIES[name].default


def _unknown(name: str) -> str:
    return f"(unknown, {len(name)} characters)"


def properties(content: bytes, table: Table = PROPERTIES, exists: Exists = nowhere) -> str:
    """Return a file of properties, masked; comments, which may say anything, are left out."""
    found: list[tuple[str, str]] = []
    try:
        elements = javaproperties.parse(content.decode(ENCODING))
        found = [(each.key, each.value) for each in elements if isinstance(each, javaproperties.KeyValue)]
    except (ValueError, javaproperties.InvalidUEscapeError):
        return "this file cannot be read as properties; what is wrong with it is in doctor.json\n"
    return "".join(f"{_row(name, value, table, exists)}\n" for name, value in found)


def _row(name: str, value: str, table: Table, exists: Exists) -> str:
    item = table.find(name)
    if item is None:  # perhaps no name, but a secret in a line of its own
        return f"{_unknown(name)}={shown(name, value, known=False)}"
    return f"{name}={shown(item.name if item.name in SECRET_FILES else name, value, exists=exists)}"


def environment(
    environ: Mapping[str, str], table: Table = PROPERTIES, exists: Exists = nowhere
) -> Iterator[str]:
    """Yield the variables that a key manager reads, a line each."""
    names = {table.variable(spelling): spelling for spelling in table.spellings()}
    for name in sorted(environ):
        if name.startswith("QEKM_"):
            spelling, known = names.get(name, name), name in names or name in _OURS
            yield f"{name}={shown(spelling, environ[name], known=known, exists=exists)}"


_OURS = ("QEKM_HOME", "QEKM_IDENTITY", "QEKM_TRACEBACK")


def without_doors(text: str) -> str:
    """Return text in which URLs have no users, passwords, paths or queries: those let in by themselves."""
    return _URL.sub(lambda found: _address(found[0]), _USER.sub(r"\1", text))


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        _ = parts.port  # ValueError: what should be one is part of a password with a slash in it
    except ValueError:
        return MASKED
    if parts.scheme.lower() in (
        "file",
        "qekm",
    ):  # a path; an identity, which a certificate shows to everybody
        return url
    more = f"/{MASKED}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{host}{more}"


def words(text: str) -> str:
    """Return text without what is said to be a secret; what only looks like one stays."""
    text = _NOBODY.sub(lambda found: _unknown(found[0]), text)
    text = _REFUSED.sub(f"'{MASKED}'", _PRIVATE.sub(f"(private key {MASKED})", text))
    spoken = _SPOKEN.sub(_unspoken, without_doors(text))
    return _BARE.sub(lambda found: f"{found[1] or found[2] or found[3]}{MASKED}", spoken)


def _unspoken(found: re.Match[str]) -> str:
    """Return what said a secret without it; a document that had it in quotes stays one."""
    quote = found[2][0] if found[2] and found[2][0] in "\"'" else ""
    return f"{found[1] or found[3]}{quote}{MASKED}{quote}"


def document(value: Any) -> Any:
    """Return a document with every text in it masked as `words` does."""
    if isinstance(value, dict):
        return {name: document(each) for name, each in value.items()}
    if isinstance(value, list):
        return [document(each) for each in value]
    return words(value) if isinstance(value, str) else value


class Masker:
    """Masks logs; what is long and looks like a key has the same number wherever it is the same."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """Return text without what could open anything."""
        return _LONG.sub(self._numbered, words(text))

    def _numbered(self, found: re.Match[str]) -> str:
        number = self._known.setdefault(found[0].lower(), len(self._known) + 1)
        return f"({len(found[0])} characters, no. {number})"
