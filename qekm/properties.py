"""The properties that may be set: how the text of each is read, and what it is when not set."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _choice(*values: str) -> Callable[[str], str]:
    """Return a reader of one of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError("one of " + ", ".join(values))
        return text.lower()

    return read


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a reader of a whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise ValueError(f"a whole number from {lowest:,} to {highest:,}")
        return int(text)

    return read


def _flag(text: str) -> bool:
    return _choice("true", "false")(text) == "true"


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("text without control characters")
    return text


def _text_or_none(text: str) -> str:
    return _text(text) if text else ""


def _command(text: str) -> str:
    """Read words in a shell's quoting (shlex); nothing of a shell's is done with them."""
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"words ({error})") from None
    return _text_or_none(text)


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(item.strip() for item in text.split(","))
    if not all(_is_host(host) for host in hosts):
        raise ValueError("addresses or host names, with commas between them")
    return hosts


def _host(text: str) -> str:
    if not _is_host(text):
        raise ValueError("an address or a host name")
    return text


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


@dataclass(frozen=True, slots=True)
class Property:
    """One property: how its text is read (ValueError says what is right), and what it is when not set."""

    name: str
    read: Callable[[str], Any]
    default: str
    origin: Literal["original", "ours"]  # the original's own name and meaning, or ours
    help: str
    unit: str = ""


_PORT = _whole(0, 65_535)
_SECONDS = _whole(1, 86_400)

_TABLE = (
    Property(
        "TransportListener.tcp.port", _PORT, "3801", "original", "Drives connect here; 0: any free port."
    ),
    Property("TransportListener.tcp.host", _hosts, "::", "ours", "Addresses on which drives are awaited."),
    Property("dkp.tls", _choice("optional", "required"), "optional", "ours", "Whether drives must use TLS."),
    Property("dkp.connectionsPerAddress", _whole(1, 10_000), "64", "ours", "Connections of one address."),
    Property("dkp.frameTimeout", _SECONDS, "30", "ours", "From a frame's first byte to its last.", "s"),
    Property("dkp.stepTimeout", _SECONDS, "30", "ours", "From our last byte to the next frame.", "s"),
    Property("dkp.sessionTimeout", _SECONDS, "120", "ours", "Longest session of a drive.", "s"),
    Property("dkp.idleTimeout", _SECONDS, "300", "ours", "Longest silence between two sessions.", "s"),
    Property(
        "grpc.port", _PORT, "3802", "ours", "Gateway and administration connect here; 0: any free port."
    ),
    Property("grpc.host", _host, "127.0.0.1", "ours", "Address of that port."),
    Property("grpc.reflection", _flag, "false", "ours", "Whether gRPC reflection is served."),
    Property(
        "health.port", _PORT, "0", "ours", "grpc.health.v1 is served here, loopback only; 0: any free port."
    ),
    Property(
        "drive.acceptUnknownDrives",
        _choice("true", "false", "pending"),
        "true",
        "original",
        "Serve a drive that is not in the table: true, false, or pending (wait for an administrator).",
    ),
    Property(
        "drive.creationsPerHour", _whole(1, 1_000_000), "120", "ours", "New keys for one drive in an hour."
    ),
    Property(
        "drive.optionalEncryption",
        _choice("create", "clear"),
        "create",
        "ours",
        "A drive that leaves it to us gets a new key (create) or writes in clear (clear).",
    ),
    Property(
        "store.scrubHours", _whole(1, 8_760), "24", "ours", "Hours between two checks of the store.", "h"
    ),
    Property(
        "twoPerson",
        _choice("on", "off"),
        "on",
        "ours",
        "Whether destroy, export and restore need a second person; off is shown as DEGRADED.",
    ),
    Property("symmetricKeySet", _text, "default", "original", "Key group of drives that name none."),
    Property(
        "keystore.protect",
        _choice("backup", "none"),
        "backup",
        "ours",
        "Where else a key is kept before it is used; none: nowhere, shown as DEGRADED.",
    ),
    Property(
        "backup.target",
        _text_or_none,
        "",
        "ours",
        "Directory for backups, best on another file system; relative to the home directory.",
    ),
    Property(
        "backup.sameDisk",
        _flag,
        "false",
        "ours",
        "Whether backups on the store's own file system count, too; shown as DEGRADED.",
    ),
    Property(
        "backup.command",
        _command,
        "",
        "ours",
        "Copies a backup away: words, to which the file's path is added; no shell. 0: it is elsewhere, too.",
    ),
    Property("backup.commandTimeout", _SECONDS, "3600", "ours", "For backup.command to end.", "s"),
    Property(
        "keystore.destroyDays",
        _whole(1, 365),
        "7",
        "ours",
        "Days from an approved destruction to the end of the key, in which it can be called off.",
        "d",
    ),
    Property(
        "keystore.slot",
        _choice("key-file", "password", "pkcs11"),
        "key-file",
        "ours",
        "What opens the keystore.",
    ),
    Property(
        "keystore.anchor",
        _text,
        "anchor",
        "ours",
        "File that says how far the store has been, best on another disk; relative to the home directory.",
    ),
    Property(
        "keystore.keyFile",
        _text,
        "root.key",
        "ours",
        "The key file; relative to the home directory, or credential:NAME for one that systemd passes.",
    ),
    Property(
        "keystore.pkcs11.module",
        _text_or_none,
        "",
        "ours",
        "The PKCS#11 library of a token, an absolute path.",
    ),
    Property("keystore.pkcs11.token", _text, "qekm", "ours", "Label of the token."),
    Property("keystore.pkcs11.key", _text, "qekm-root", "ours", "Label of the token's key."),
    Property(
        "keystore.pkcs11.pinFile",
        _text,
        "token.pin",
        "ours",
        "The file that holds the token's PIN; relative to the home directory, or credential:NAME.",
    ),
)

PROPERTIES: Mapping[str, Property] = MappingProxyType({item.name: item for item in _TABLE})
