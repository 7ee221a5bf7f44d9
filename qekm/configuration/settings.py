"""KeyManagerConfig.properties: a file of it read into typed values, and written, whole or not at all.

A property of the environment, QEKM_PROPERTY_ and its name with every dot an underscore, wins over the file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qekm.configuration.rewriting import owner_of, rewrite
from qekm.errors import BadConfiguration, UnknownProperty
from qekm.properties import PROPERTIES, Property, Table, is_password, shown
from qekm.properties.lines import ENCODING, MOST_BYTES, amended, bad, explained, read_lines
from qekm.properties.listeners import PORTS

DEFAULT, FILE, FROM_ENVIRONMENT = "default", "file", "environment"
LONGEST = 4_096  # characters of a value


class Settings:
    """Typed values of all properties. No password is in it.

    in_file: what the file says, whether the environment wins or not. unknown: what the table does not know.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        unknown: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        table: Table = PROPERTIES,
    ) -> None:
        """Use Settings.load. texts: what a file says, by name; environment: what wins over it."""
        self.table = table
        self._texts = {name: item.default for name, item in table.items()}
        self._sources = dict.fromkeys(table, DEFAULT)
        self._values = {name: item.read(item.default) for name, item in table.items()}
        self.in_file: dict[str, str] = {}
        for source, found in ((FILE, texts), (FROM_ENVIRONMENT, environment or {})):
            for name, text in found.items():
                self.put(name, text, source)
        self.unknown = {name: shown(name, text) for name, text in unknown.items()}

    def __getitem__(self, name: str) -> Any:
        """Return a property's value, as its reader made it: int, bool, str, …; KeyError for no property."""
        return self._values[name]

    def text(self, name: str) -> str:
        """Return a property's value as it was written; that of a password is not there to be shown."""
        return self._texts[name]

    def source(self, name: str) -> str:
        """Return where a value is from: default, file or environment."""
        return self._sources[name]

    def copy(self) -> Settings:
        """Return settings of the same values, which change apart from these."""
        found = Settings({}, {}, table=self.table)
        found.take(self, self.table)
        return found

    def take(self, other: Settings, names: Iterable[str]) -> None:
        """Put the values that these properties have in other settings in force."""
        for name in names:
            self.put(name, other.text(name), other.source(name))
        self.unknown, self.in_file = dict(other.unknown), dict(other.in_file)

    def put(self, name: str, text: str, source: str = FILE) -> None:
        """Put another value in force; whoever reads the property from now on finds it. ValueError."""
        text = shown(name, text)
        self._values[name] = self.table[name].read(text)
        self._texts[name], self._sources[name] = text, source
        if source == FILE:
            self.in_file[name] = text

    @classmethod
    def load(
        cls, path: Path, environ: Mapping[str, str] | None = None, table: Table = PROPERTIES
    ) -> Settings:
        """Read a file; BadConfiguration names the property and the line. Unknown ones are kept."""
        return cls.parse(read_file(path), path.name, os.environ if environ is None else environ, table)

    @classmethod
    def parse(
        cls, content: bytes, file: str, environ: Mapping[str, str], table: Table = PROPERTIES
    ) -> Settings:
        """Read what a file holds; errors as `load`. Pure."""
        texts: dict[str, str] = {}
        unknown: dict[str, str] = {}
        lines: dict[str, int] = {}
        for line in read_lines(content, file):
            where = f"{file}, line {line.number}"
            if line.name in lines:
                told = f"{where}: {line.name} is set already in line {lines[line.name]}"
                raise bad(told, line.name, line.number)
            lines[line.name] = line.number
            item = table.find(line.name)
            if item is None:
                unknown[line.name] = line.text
                continue
            other = next(
                (name for name in (item.name, *item.also) if name in lines and name != line.name), ""
            )
            if other and texts[item.name] != line.text:
                told = f"{where}: {line.name} is {other}, which line {lines[other]} sets to another value"
                raise bad(told, line.name, line.number)
            texts[item.name] = _checked(item, line.text, where, line.number)
        found = cls(texts, unknown, _of_environment(environ, table), table)
        _check_ports(found, file)
        return found


def read_file(path: Path) -> bytes:
    """Return what a file of properties holds; BadConfiguration if it cannot be read or is no file."""
    try:
        # Without O_NONBLOCK a named pipe would be waited for, for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        owner = owner_of(path) if isinstance(error, PermissionError) else ""
        hint = f"it belongs to user {owner}: run this as that user" if owner else None
        raise BadConfiguration(
            f"cannot read {path}: {error.strerror}", hint=hint, property="", line="", file=str(path)
        ) from None


def write_defaults(path: Path, overrides: Mapping[str, str], table: Table = PROPERTIES) -> None:
    """Write all properties with their help, those given with other values than the defaults; all or nothing.

    The file is 0600 and durable. UnknownProperty, BadConfiguration for what cannot be read back, FileFailed.
    """
    content = explained(table, checked(overrides, table)).encode(ENCODING)
    Settings.parse(content, path.name, {}, table)
    rewrite(path, content)


def amend(
    path: Path,
    values: Mapping[str, str],
    unset: Iterable[str] = (),
    table: Table = PROPERTIES,
    keep: bool = True,
) -> str:
    """Set properties in a file, take others out, and leave all else as it is; returns what `rewrite` does.

    keep: the version before stays beside it, with .1 behind its name. A symbolic link is followed.
    UnknownProperty, BadConfiguration, FileFailed, and then nothing has changed.
    """
    before = read_file(path)
    after = amendment(before, path.name, values, unset, table)
    return rewrite(path.resolve(), after, before if keep else None) if after != before else ""


def amendment(
    before: bytes,
    file: str,
    values: Mapping[str, str],
    unset: Iterable[str] = (),
    table: Table = PROPERTIES,
) -> bytes:
    """Return what a file of properties shall hold, which reads back; errors as `amend`. Pure."""
    unset = tuple(unset)
    there = {line.name for line in read_lines(before, file)}
    for name in unset:
        if name not in there and table.find(name) is None:
            raise UnknownProperty(f"there is no property {name[:200]}", property=name)
    new = checked(values, table)
    if twice := sorted(new.keys() & {item.name for name in unset if (item := table.find(name))}):
        raise bad(f"{twice[0]} cannot be set and unset at once", twice[0])
    after = amended(before.decode(ENCODING), new, unset, table).encode(ENCODING)
    Settings.parse(after, file, {}, table)
    return after


def texts_of(content: bytes, file: str, table: Table = PROPERTIES) -> dict[str, str]:
    """Return what a file says of properties, by their own names, whether it can be used or not."""
    found: dict[str, str] = {}
    for line in read_lines(content, file):
        item = table.find(line.name)
        name = line.name if item is None else item.name
        found[name] = shown(name, line.text)
    return found


def checked(values: Mapping[str, str], table: Table = PROPERTIES) -> dict[str, str]:
    """Return values by the own names of their properties; UnknownProperty, BadConfiguration."""
    found: dict[str, str] = {}
    for name, text in values.items():
        item = table.find(name)
        if item is None:
            raise UnknownProperty(f"there is no property {name[:200]}", property=name)
        if found.get(item.name, text) != text:
            raise bad(f"{name} is {item.name}, which shall have another value", name)
        found[item.name] = _checked(item, text.strip(), name)
    return found


def _of_environment(environ: Mapping[str, str], table: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for spelling in table.spellings():
        variable, item = table.variable(spelling), table.find(spelling)
        if variable in environ and item is not None:
            text = _checked(item, environ[variable], f"environment variable {variable}")
            if found.setdefault(item.name, text) != text:
                raise bad(f"environment variable {variable}: {item.name} is set to another value", item.name)
    return found


def _check_ports(settings: Settings, file: str) -> None:
    """Refuse what would leave one of two listeners without its port; 0 is any free one."""
    taken: dict[int, str] = {}
    for name in PORTS:
        port = settings[name] if name in settings.table else 0
        if port in taken:
            raise bad(f"{file}: {taken[port]} and {name} are both {port}: they must differ", name)
        if port:
            taken[port] = name


def _checked(item: Property, text: str, where: str, line: int | None = None) -> str:
    """Return a text that can be read; BadConfiguration says what would be right."""
    named = where if where == item.name else f"{where}: {item.name}"
    try:
        item.read(text)
    except ValueError as error:
        told = "" if is_password(item.name) else f", not {text!r:.80}"
        raise bad(f"{named} must be {error}{told}", item.name, line) from None
    if len(text) > LONGEST:
        raise bad(f"{named} has {len(text):,} characters, more than {LONGEST:,}", item.name, line)
    return text
