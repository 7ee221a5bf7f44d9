"""The properties that may be set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm.properties.property import Property
from qekm.properties.readers import choice, flag, host, hosts, plain_text, text_or_none, whole, words

_PORT = whole(0, 65_535)
_SECONDS = whole(1, 86_400)

_TABLE = (
    Property(
        "TransportListener.tcp.port",
        _PORT,
        "3801",
        "original",
        "Drives connect here; 0: any free port.",
        dynamic=True,
    ),
    Property(
        "TransportListener.tcp.host",
        hosts,
        "::",
        "ours",
        "Addresses on which drives are awaited.",
        dynamic=True,
    ),
    Property(
        "TransportListener.tcp.drainMinutes",
        whole(0, 1_440),
        "10",
        "ours",
        "How long drives are still answered on the port before, when it was changed.",
        "min",
        dynamic=True,
    ),
    Property(
        "TransportListener.ssl.port",
        _PORT,
        "443",
        "original",
        "Peers and remote administration connect here; 0: any free port.",
        dynamic=True,
    ),
    Property("TransportListener.ssl.host", host, "::", "ours", "Address of that port.", dynamic=True),
    Property("dkp.tls", choice("optional", "required"), "optional", "ours", "Whether drives must use TLS."),
    Property("dkp.connectionsPerAddress", whole(1, 10_000), "64", "ours", "Connections of one address."),
    Property("dkp.frameTimeout", _SECONDS, "30", "ours", "From a frame's first byte to its last.", "s"),
    Property("dkp.stepTimeout", _SECONDS, "30", "ours", "From our last byte to the next frame.", "s"),
    Property("dkp.sessionTimeout", _SECONDS, "120", "ours", "Longest session of a drive.", "s"),
    Property("dkp.idleTimeout", _SECONDS, "300", "ours", "Longest silence between two sessions.", "s"),
    Property(
        "grpc.port", _PORT, "3802", "ours", "Gateway and administration connect here; 0: any free port."
    ),
    Property("grpc.host", host, "127.0.0.1", "ours", "Address of that port."),
    Property("grpc.reflection", flag, "false", "ours", "Whether gRPC reflection is served."),
    Property(
        "health.port", _PORT, "0", "ours", "grpc.health.v1 is served here, loopback only; 0: any free port."
    ),
    Property(
        "drive.acceptUnknownDrives",
        choice("true", "false", "pending"),
        "true",
        "original",
        "Serve a drive that is not in the table: true, false, or pending (wait for an administrator).",
    ),
    Property(
        "drive.creationsPerHour", whole(1, 1_000_000), "120", "ours", "New keys for one drive in an hour."
    ),
    Property(
        "drive.optionalEncryption",
        choice("create", "clear"),
        "create",
        "ours",
        "A drive that leaves it to us gets a new key (create) or writes in clear (clear).",
    ),
    Property(
        "store.scrubHours", whole(1, 8_760), "24", "ours", "Hours between two checks of the store.", "h"
    ),
    Property(
        "twoPerson",
        choice("on", "off"),
        "on",
        "ours",
        "Whether destroy, export and restore need a second person; off is shown as DEGRADED.",
    ),
    Property("symmetricKeySet", plain_text, "default", "original", "Key group of drives that name none."),
    Property(
        "keystore.protect",
        choice("backup", "none"),
        "backup",
        "ours",
        "Where else a key is kept before it is used; none: nowhere, shown as DEGRADED.",
    ),
    Property(
        "backup.target",
        text_or_none,
        "",
        "ours",
        "Directory for backups, best on another file system; relative to the home directory.",
    ),
    Property(
        "backup.sameDisk",
        flag,
        "false",
        "ours",
        "Whether backups on the store's own file system count, too; shown as DEGRADED.",
    ),
    Property(
        "backup.command",
        words,
        "",
        "ours",
        "Copies a backup away: words, to which the file's path is added; no shell. 0: it is elsewhere, too.",
    ),
    Property("backup.commandTimeout", _SECONDS, "3600", "ours", "For backup.command to end.", "s"),
    Property(
        "keystore.destroyDays",
        whole(1, 365),
        "7",
        "ours",
        "Days from an approved destruction to the end of the key, in which it can be called off.",
        "d",
    ),
    Property(
        "keystore.slot",
        choice("key-file", "password", "pkcs11"),
        "key-file",
        "ours",
        "What opens the keystore.",
    ),
    Property(
        "keystore.anchor",
        plain_text,
        "anchor",
        "ours",
        "File that says how far the store has been, best on another disk; relative to the home directory.",
    ),
    Property(
        "keystore.keyFile",
        plain_text,
        "root.key",
        "ours",
        "The key file; relative to the home directory, or credential:NAME for one that systemd passes.",
    ),
    Property(
        "keystore.pkcs11.module",
        text_or_none,
        "",
        "ours",
        "The PKCS#11 library of a token, an absolute path.",
    ),
    Property("keystore.pkcs11.token", plain_text, "qekm", "ours", "Label of the token."),
    Property("keystore.pkcs11.key", plain_text, "qekm-root", "ours", "Label of the token's key."),
    Property(
        "keystore.pkcs11.pinFile",
        plain_text,
        "token.pin",
        "ours",
        "The file that holds the token's PIN; relative to the home directory, or credential:NAME.",
    ),
)

PROPERTIES: Mapping[str, Property] = MappingProxyType({item.name: item for item in _TABLE})
