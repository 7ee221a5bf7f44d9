"""KeyManagerConfig.properties: a file of it read into typed values, and written with every default.

The format is that of java.util.Properties (ISO 8859-1, \\u escapes). A property of the environment,
QEKM_PROPERTY_ and its name with every dot an underscore, wins over the file.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import javaproperties

from qekm.errors import BadConfiguration
from qekm.properties import PROPERTIES, Property

_log = logging.getLogger(__name__)

ENVIRONMENT = "QEKM_PROPERTY_"


class Settings:
    """Typed values of all properties; `unknown` keeps what the table does not know, as it was written."""

    def __init__(self, values: Mapping[str, Any], unknown: Mapping[str, str]) -> None:
        """Use Settings.load."""
        self._values = {name: item.read(item.default) for name, item in PROPERTIES.items()} | dict(values)
        self.unknown = dict(unknown)

    def copy(self) -> Settings:
        """Return settings of the same values, which change apart from these."""
        return Settings(self._values, self.unknown)

    def put(self, name: str, value: Any) -> None:
        """Put another value in force; whoever reads the property from now on finds it."""
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        """Return a property's value: int, bool, str, or a tuple of hosts; KeyError for no property."""
        return self._values[name]

    @classmethod
    def load(cls, path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read a file; BadConfiguration names the property and the line. Unknown ones are kept and logged."""
        values: dict[str, Any] = {}
        unknown: dict[str, str] = {}
        lines: dict[str, str] = {}
        for name, text, line in _pairs(path):
            where = f"{path.name}, line {line}"
            if name in lines:
                raise _bad(name, line, f"{where}: {name} is set already in line {lines[name]}")
            lines[name] = line
            if name in PROPERTIES:
                values[name] = _read(name, text, line, where)
            else:
                unknown[name] = text
                _log.warning("%s: property %s is not known", where, name)
        for name in PROPERTIES:
            variable = ENVIRONMENT + name.replace(".", "_")
            if variable in environ:
                values[name] = _read(name, environ[variable], "", f"environment variable {variable}")
        return cls(values, unknown)


def write_defaults(path: Path, overrides: Mapping[str, str]) -> None:
    """Write all properties with their help, those given with other values than the defaults; all or nothing.

    The file is 0600 and durable. BadConfiguration for a value that could not be read back.
    """
    _check(overrides)
    text = "\n".join(_entry(item, overrides.get(item.name, item.default)) for item in PROPERTIES.values())
    _write(path, text)


def amend(path: Path, overrides: Mapping[str, str]) -> None:
    """Set properties in a file, and leave everything else in it as it is: other properties, comments, order.

    BadConfiguration for what could not be read back.
    """
    _check(overrides)
    with path.open("rb") as file:
        found = javaproperties.PropertiesFile.load(file)
    for name, value in overrides.items():
        found[name] = value
    _write(path, found.dumps())
    Settings.load(path, {})


def _check(overrides: Mapping[str, str]) -> None:
    for name, value in overrides.items():
        if name not in PROPERTIES:
            raise _bad(name, "", f"there is no property {name}")
        _read(name, value, "", "option")


def _write(path: Path, text: str) -> None:
    """Write a file, 0600 and durable; all or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="iso-8859-1") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _entry(item: Property, value: str) -> str:
    unit = f" Unit: {item.unit}." if item.unit else ""
    return f"# {item.help}{unit} Default: {item.default}\n{javaproperties.join_key_value(item.name, value)}\n"


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, text and line of every property of a file, without blanks around the text."""
    line = 1
    try:
        with path.open("rb") as file:
            for element in javaproperties.parse(file):
                if isinstance(element, javaproperties.KeyValue):
                    yield element.key, element.value.strip(), str(line)
                line += len(element.source.splitlines())
    except javaproperties.InvalidUEscapeError as error:
        raise _bad("", str(line), f"{path.name}, line {line}: {error}") from None
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}", file=str(path)) from None


def _read(name: str, text: str, line: str, where: str) -> Any:
    try:
        return PROPERTIES[name].read(text)
    except ValueError as error:
        raise _bad(name, line, f"{where}: {name} must be {error}, not {text!r:.80}") from None


def _bad(name: str, line: str, message: str) -> BadConfiguration:
    return BadConfiguration(message, property=name, line=line)
