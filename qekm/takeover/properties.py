"""The original's KeyManagerConfig.properties: what of it means something here, is kept, or is left. Pure.

The file is one of java.util.Properties in ISO 8859-1, as the original's program reads and rewrites it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from qekm.errors import BadArgument, BadConfiguration
from qekm.properties import PROPERTIES, Property, is_password
from qekm.properties.lines import ENCODING, bad, read_lines

KEY_SET = "symmetricKeySet"
_PLACES = ("config.drivetable.file.url", "Audit.handler.file.directory", "debug.output.file")
_CORRECT = "nothing was made: correct it in a copy of the directory"
_LABELS = ("drive.default.alias1", "drive.default.alias2")


@dataclass(frozen=True, slots=True)
class Line:
    """A property as it is set there. text: as Java reads it, typed: as it stands there."""

    number: int
    name: str
    text: str = field(repr=False)  # it may be a password
    typed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Left:
    """A property that is not taken over, and why."""

    line: int
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """What becomes of the properties: taken and kept ones by their names here."""

    taken: Mapping[str, str]
    kept: Mapping[str, str]
    left: Sequence[Left]


def parse(content: bytes, file: str) -> list[Line]:
    """Return the properties of a file; BadConfiguration names a line that is none, or contradicts another."""
    try:
        found = list(read_lines(content, file))
    except BadConfiguration as error:
        error.advice = _CORRECT
        raise
    sources = content.decode(ENCODING).splitlines()
    lines: dict[str, Line] = {}
    for each in found:
        source = sources[each.number - 1]
        line = Line(each.number, each.name, each.text, re.split("[=:]", source, maxsplit=1)[-1].strip())
        _check(line, lines.setdefault(line.name, line), source, file)
    if not content.endswith((b"\n", b"\r")):  # half of a port looks like one
        raise _bad(file, len(sources), "the last line has no end: is the file whole?")
    return list(lines.values())


def sort(lines: Sequence[Line], file: str, given: Collection[str]) -> Sorted:
    """Return what becomes of each property; given: those that somebody gave another value, whatever is here.

    BadConfiguration names the line of a value that cannot be; BadArgument for a file of this program's own.
    """
    taken, kept, left = dict[str, str](), dict[str, str](), list[Left]()
    for line in lines:
        item = PROPERTIES.find(line.name)
        if item is not None and item.origin == "ours":
            what = f"{file}, line {line.number}: {line.name} is a property of this program"
            raise BadArgument(what, hint="a key manager of ours is moved as it is", field="from")
        if why := _why_not(line, item, given):
            left.append(Left(line.number, line.name, why))
        elif item is not None and item.origin == "kept":
            kept[item.name] = line.text
        elif item is not None and item.name != KEY_SET and line.text:
            _read(item, line, file)
            taken[item.name] = line.text
    return Sorted(taken, kept, left)


def _why_not(line: Line, item: Property | None, given: Collection[str]) -> str:
    """Return why a property is not taken over, empty if it is."""
    if is_password(line.name) or "password" in line.name.lower():
        return "a password is never copied"
    if item is None:
        return "it is none of the product family's that are known"
    if item.name in given:
        return "another value was given"
    if item.name in _PLACES:
        return f"it names a place on the old machine; here it is {item.default or 'none'}"
    if item.name in _LABELS:
        return "it names a key or a certificate there; here it would name a key group"
    return ""


def _check(line: Line, first: Line, source: str, file: str) -> None:
    """Raise BadConfiguration for a line that is no NAME = VALUE, or contradicts the first of its name."""
    if (
        not line.name
        or not (line.name + line.text.replace("\t", "")).isprintable()
        or not re.search("[=:]", source)
    ):
        raise _bad(file, line.number, "this is not NAME = VALUE: is the file whole?")  # it may be a password
    if first.text != line.text:
        raise _bad(file, line.number, f"{line.name} has another value in line {first.number}")


def _read(item: Property, line: Line, file: str) -> None:
    try:
        item.read(line.text)
    except ValueError as error:
        what, also = f"{line.name} must be {error}, not {line.text!r:.80}", f"--property {item.name}=VALUE"
        raise _bad(file, line.number, what, f", or give it another value: {also}") from None


def _bad(file: str, line: int, what: str, also: str = "") -> BadConfiguration:
    return bad(f"{file}, line {line}: {what}", line=line, hint=_CORRECT + also)


# symmetricKeySet: one group, or aliases and ranges of them with separators between them.


@dataclass(frozen=True, slots=True)
class KeySet:
    """What symmetricKeySet names: one group, or keys (of a range its first and last)."""

    group: str = ""
    aliases: tuple[str, ...] = ()


_RANGE = re.compile(r"([\x21-\x7e]{3})([0-9A-Fa-f]{1,18})-([0-9A-Fa-f]{1,18})")
_SEQUENTIAL = re.compile(r"([\x20-\x7e]{3})([0-9A-Fa-f]{18})")


def key_set(text: str, aliases: Collection[str]) -> KeySet:
    """Return what a symmetricKeySet names, where the keystore has these aliases; they match in any case."""
    words = [word for word in (word.strip() for word in re.split("[,;]", text)) if word]
    known = {alias.casefold() for alias in aliases}
    if len(words) == 1 and not _RANGE.fullmatch(words[0]) and not _SEQUENTIAL.fullmatch(words[0]):
        (word,) = words
        return KeySet(aliases=(word,)) if word.casefold() in known else KeySet(group=word)
    return KeySet(aliases=tuple(alias for word in words for alias in _named(word)))


def _named(word: str) -> list[str]:
    found = _RANGE.fullmatch(word)
    return [found[1] + end.rjust(18, "0") for end in found.groups()[1:]] if found else [word]
