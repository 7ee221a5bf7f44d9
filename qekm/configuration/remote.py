"""ClientKeyManagerConfig.properties: which key manager is administered from a home that has no store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qekm.configuration.settings import Settings, write_defaults
from qekm.errors import BadConfiguration
from qekm.properties.client import CLIENT_PROPERTIES
from qekm.properties.listeners import SSL_HOST, SSL_PORT

IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Remote:
    """A key manager elsewhere, and whose certificate is shown to it."""

    host: str = CLIENT_PROPERTIES[SSL_HOST].default
    port: int = int(CLIENT_PROPERTIES[SSL_PORT].default)
    identity: str = CLIENT_PROPERTIES[IDENTITY].default

    @property
    def target(self) -> str:
        """Return host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_remote(path: Path) -> Remote:
    """Return what a file says; BadConfiguration names the property and the line."""
    found = Settings.load(path, table=CLIENT_PROPERTIES)
    if not found[SSL_PORT]:
        raise BadConfiguration(
            f"{path}: {SSL_PORT} is 0: it must be that of the key manager", property=SSL_PORT, line=""
        )
    return Remote(found[SSL_HOST], found[SSL_PORT], found[IDENTITY])


def write_remote(path: Path, remote: Remote) -> None:
    """Write a file that says this, 0600; BadConfiguration for what could not be read back, FileFailed."""
    values = {SSL_HOST: remote.host, SSL_PORT: str(remote.port), IDENTITY: remote.identity}
    write_defaults(path, values, CLIENT_PROPERTIES)
