"""Names that are nobody's business: the same one has the same pseudonym in every file of a bundle. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Fields of documents that hold names, and attributes of the audit log: the kind of what is in them.
_FIELDS = {
    "serial": "serial",
    "drive_serial": "serial",
    "drive serial number": "serial",
    "wwnn": "wwnn",
    "drive_wwnn": "wwnn",
    "drive WWN": "wwnn",
    "volser": "volser",
    "alias": "key",
    "key alias": "key",
    "name": "name",
    "actor": "name",
    "user": "name",
    "users": "name",
    "address": "host",
    "addresses": "host",
    "host": "host",
    "group": "name",
}
_ATTRIBUTE = re.compile(r"^  (drive serial number|drive WWN|volser|key alias|users?)=(.+)$", re.MULTILINE)
_RESOURCE = re.compile(
    r"(?:^  resource=|\"resource\": \")(drive|key group|key|peer|certificate|account|partner) ([^\"\n]+)",
    re.M,
)
_ENDPOINT = re.compile(r"(?<![\w.\[:/-])(\w[\w-]*(?:\.[\w-]+)*):[0-9]{2,5}(?![\w:])")
_SPOKEN = re.compile(r"\b(drive|volser|group|alias|serial|wwnn|account) ([A-Za-z0-9_.-]{3,64})")
_KEY = re.compile(r"\b[A-Z]{3}[0-9]{18}\b")
_SERIAL = re.compile(r"(?<![0-9.])[0-9]{12}(?![0-9.])")
_MAILBOX = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")
_NUMBER4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.])")
_NUMBER6 = re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_LOOKS = (("mailbox", _MAILBOX), ("key", _KEY), ("serial", _SERIAL), ("host", _NUMBER4), ("host", _NUMBER6))
# Words of ours that are nobody's name.
_OURS = frozenset(
    (
        *(
            "administrator",
            "operator",
            "auditor",
            "custodian",
            "gateway",
            "server",
            "candidate",
            "drive",
            "host",
        ),
        *(
            "default",
            "service",
            "init",
            "local",
            "localhost",
            "key-file",
            "password",
            "shares",
            "pkcs11",
            "none",
        ),
        *(
            "authority",
            "refuse",
            "unknown",
            "test",
            "slot",
            "with",
            "that",
            "and",
            "the",
            "was",
            "has",
            "not",
        ),
    )
)
_SHORTEST = 3
_WORD = re.compile(r"([^\W_]+)")
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


class Pseudonyms:
    """Learns names from documents and logs, then puts pseudonyms in their place."""

    def __init__(self, names: Mapping[str, Iterable[str]] | None = None) -> None:
        """Take names that are known beforehand, by kind."""
        self._made: dict[str, str] = {}
        self._words: dict[str, int] = {}  # by the first word of a name: how many the longest such name has
        self._counts: dict[str, int] = {}
        for kind, found in (names or {}).items():
            for name in found:
                self.learn(kind, name)

    def learn(self, kind: str, name: str) -> None:
        """Give a name a pseudonym, unless it has one, or is a word of ours."""
        for whole in _parts(name):
            part = _EDGES.sub("", whole)
            known = part.lower() in self._made or part.lower() in _OURS
            if len(part) < _SHORTEST or known or _is_plain(whole):
                continue
            self._add(kind, part)

    def _add(self, kind: str, name: str) -> None:
        first, *more = _WORD.findall(name.lower())
        self._words[first] = max(self._words.get(first, 0), 1 + len(more))
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._made[name.lower()] = f"{kind}-{self._counts[kind]}"

    def learn_from(self, document: Any, field: str = "") -> None:
        """Learn the names in a document's fields."""
        if isinstance(document, dict):
            for name, value in document.items():
                self.learn_from(value, str(name))
        elif isinstance(document, list):
            for value in document:
                self.learn_from(value, field)
        elif isinstance(document, str) and document and field in _FIELDS:
            self.learn(_FIELDS[field], document)

    def learn_from_text(self, text: str) -> None:
        """Learn the names in a log: attributes of records, what is called one, and what looks like one."""
        for name, value in _ATTRIBUTE.findall(text):
            self.learn(_FIELDS[name], value)
        for kind, value in _RESOURCE.findall(text):
            self.learn({"drive": "serial", "key": "key"}.get(kind, "name"), value)
        for kind, pattern in _LOOKS:
            for value in pattern.findall(text):
                self.learn(kind, value)
        for word, value in _SPOKEN.findall(text):
            if any(character.isdigit() for character in value):
                self.learn(_FIELDS.get(word, "name"), value.rstrip("."))

    def learn_from_finding(self, text: str) -> None:
        """Learn the names in what the doctor says, which has HOST:PORT in it."""
        self.learn_from_text(text)
        for value in _ENDPOINT.findall(text):
            self.learn("host", value)

    def __call__(self, text: str) -> str:
        """Return text with pseudonyms for all names that are known by now, of several the longest."""
        if not self._made:
            return text
        pieces = _WORD.split(text)  # words at odd places, what is between them at even ones
        said, place = pieces[:1], 1
        while place < len(pieces):
            count, word = self._name_at(pieces, place)
            said += (word, pieces[place + 2 * count - 1])
            place += 2 * count
        return "".join(said)

    def _name_at(self, pieces: list[str], place: int) -> tuple[int, str]:
        """Return how many words from here are a name, and its pseudonym; else one word as it is."""
        for count in range(self._words.get(pieces[place].lower(), 0), 0, -1):
            made = self._made.get("".join(pieces[place : place + 2 * count - 1]).lower())
            if made is not None and place + 2 * count <= len(pieces):
                return count, made
        return 1, pieces[place]


def _parts(name: str) -> Iterator[str]:
    """Yield what names a thing by itself: of role/name the name, of host:port the host."""
    last = name.rpartition("/")[2].strip()
    host, _, port = last.rpartition(":")
    yield host.strip("[]") if port.isdecimal() and host and (":" not in host or "[" in host) else last


def _is_plain(name: str) -> bool:
    """Tell whether something is no name: a small number, an address of everybody."""
    return (name.isdecimal() and len(name) < 9) or not _is_strange(name)


def _is_strange(text: str) -> bool:
    """Tell whether an address is one of somebody; what is no address is a name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return not re.fullmatch(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", text)
    return not (address.is_loopback or address.is_unspecified)
