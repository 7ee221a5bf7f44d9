"""Names that this machine knows without a service: its own, certificates', of addresses in properties."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import javaproperties

from qekm.home import Home
from qekm.properties import PROPERTIES, Table
from qekm.properties.client import CLIENT_PROPERTIES
from qekm.properties.lines import ENCODING
from qekm.properties.readers import address_or_none, collector, host, hosts, services, syslog, webhook
from qekm_cli.doctor.tails import tail

_ADDRESSES = (address_or_none, host, hosts, services)
_URLS = (collector, syslog, webhook)
_FILES = frozenset(("trust", "audit"))  # in pki, and nobody's


def acquaintances(home: Home, target: str, identity: str) -> dict[str, list[str]]:
    """Return names by kind; target (HOST:PORT, or nothing) and identity are those that were named."""
    from qekm.doctor.certificates import hosts_of, read_pem

    found, people = [socket.gethostname(), socket.getfqdn(), target, *_addresses(home)], [identity]
    people += [os.environ.get("QEKM_IDENTITY", ""), *_identities(home)]
    for path in sorted(home.pki.glob("*.pem")) if home.pki.is_dir() else []:
        people += [path.stem] if path.stem not in _FILES else []
        shown = read_pem(_content(path))
        found += hosts_of(shown[0]) if shown else []
    return {"host": [each for each in found if each], "name": [each for each in people if each]}


def addresses_in(values: Mapping[str, str], table: Table = PROPERTIES) -> Iterator[str]:
    """Yield hosts and addresses (HOST, HOST:PORT) in those properties that are addresses. Pure."""
    for name, value in values.items():
        known = table.find(name)
        if known is None or not value:
            continue
        if known.read in _ADDRESSES:
            yield from (each.strip() for each in value.split(","))
        elif known.read in _URLS:
            yield _host_of(value)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _addresses(home: Home) -> Iterator[str]:
    for path, table in ((home.config, PROPERTIES), (home.client_config, CLIENT_PROPERTIES)):
        yield from addresses_in(_properties(path), table)
        variables = {table.variable(each): each for each in table.spellings()}
        yield from addresses_in({variables[k]: v for k, v in os.environ.items() if k in variables}, table)


def _identities(home: Home) -> list[str]:
    return [Path(_properties(home.client_config).get("identity", "")).stem]


def _properties(path: Path) -> dict[str, str]:
    try:
        return javaproperties.loads(_content(path).decode(ENCODING))
    except (ValueError, javaproperties.InvalidUEscapeError):
        return {}


def _content(path: Path) -> bytes:
    return tail(path) or b""
