"""ClientKeyManagerConfig.properties: which key manager is administered from a home that has no store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qekm.errors import BadConfiguration
from qekm.properties.client import CLIENT

HOST, PORT, IDENTITY = "TransportListener.ssl.host", "TransportListener.ssl.port", "identity"
_WRITTEN = (HOST, PORT, IDENTITY)


@dataclass(frozen=True, slots=True)
class Remote:
    """A key manager elsewhere, and whose certificate is shown to it."""

    host: str = CLIENT[HOST].default
    port: int = int(CLIENT[PORT].default)
    identity: str = CLIENT[IDENTITY].default

    @property
    def target(self) -> str:
        """Return host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def text(self) -> str:
        """Return the file that says this, with a comment to each property."""
        import javaproperties

        values = {HOST: self.host, PORT: str(self.port), IDENTITY: self.identity}
        lines = (
            f"# {CLIENT[name].help} Default: {CLIENT[name].default}\n"
            f"{javaproperties.join_key_value(name, values[name])}\n"
            for name in _WRITTEN
        )
        return "\n".join(lines)


def read_remote(path: Path) -> Remote:
    """Return what a file says; BadConfiguration names the property and the line. Unknown ones are let be."""
    values = {name: CLIENT[name].read(CLIENT[name].default) for name in CLIENT}
    lines: dict[str, int] = {}
    for name, text, line in _pairs(path):
        where = f"{path.name}, line {line}"
        if name in lines:
            raise _bad(name, line, f"{where}: {name} is set already in line {lines[name]}")
        lines[name] = line
        if name not in CLIENT:
            continue
        try:
            values[name] = CLIENT[name].read(text)
        except ValueError as error:
            raise _bad(name, line, f"{where}: {name} must be {error}, not {text!r:.80}") from None
    return Remote(values[HOST], values[PORT], values[IDENTITY])


def _pairs(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, text and line of every property of a file, without blanks around the text."""
    import javaproperties

    line = 1
    try:
        with path.open("rb") as file:
            for element in javaproperties.parse(file):
                if isinstance(element, javaproperties.KeyValue):
                    yield element.key, element.value.strip(), line
                line += len(element.source.splitlines())
    except javaproperties.InvalidUEscapeError as error:
        raise _bad("", line, f"{path.name}, line {line}: {error}") from None
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}", file=str(path)) from None


def _bad(name: str, line: int, message: str) -> BadConfiguration:
    return BadConfiguration(message, property=name, line=str(line))
