"""For each property: a text that is not the default, its value, and texts that are bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qekm.properties import PROPERTIES
from qekm.properties.client import CLIENT_PROPERTIES


@dataclass(frozen=True)
class Example:
    """What a property may be and what not."""

    text: str
    value: Any
    bad: tuple[str, ...]


_PORT = Example("4711", 4711, ("-1", "65536", "x", "", "3,801"))
_SECONDS = Example("7", 7, ("0", "86401", "1.5", "7s"))
_PATH = Example("/elsewhere/a b", "/elsewhere/a b", ("", "a\tb"))
_PATH_OR_NONE = Example("/elsewhere/ä", "/elsewhere/ä", ("a\tb", "\x7f"))
_FLAG = Example("TRUE", True, ("yes", "1", ""))
_GROUP = Example("tapes", "tapes", ("a\tb",))

_OURS = {
    "TransportListener.tcp.port": _PORT,
    "TransportListener.tcp.host": Example("192.0.2.1, ::1", ("192.0.2.1", "::1"), ("", "a b", "::1,,::2")),
    "TransportListener.tcp.drainMinutes": Example("0", 0, ("-1", "1441", "")),
    "TransportListener.ssl.port": _PORT,
    "TransportListener.ssl.host": Example("192.0.2.1", "192.0.2.1", ("", "::1,::2", "-x")),
    "TransportListener.ssl.gateways": Example("On", "on", ("true", "")),
    "admin.sessionMinutes": Example("1", 1, ("0", "1441", "quarter")),
    "gateway.services": Example(
        "local, 192.0.2.1:443,[::1]:1,b.example:65535",
        ("local", "192.0.2.1:443", "[::1]:1", "b.example:65535"),
        ("", "b", "b:0", "b:65536", "a b:1", "local,local", "b:1,,c:1", "b:1;c:1", "::1:443"),
    ),
    "dkp.tls": Example("Required", "required", ("on", "")),
    "dkp.connectionsPerAddress": Example("1", 1, ("0", "10001")),
    "dkp.frameTimeout": _SECONDS,
    "dkp.stepTimeout": _SECONDS,
    "dkp.sessionTimeout": _SECONDS,
    "dkp.idleTimeout": _SECONDS,
    "grpc.port": _PORT,
    "grpc.host": Example("::1", "::1", ("", "a b")),
    "grpc.reflection": _FLAG,
    "health.port": _PORT,
    "metrics.port": _PORT,
    "gateway.metrics.port": _PORT,
    "drive.acceptUnknownDrives": Example("pending", "pending", ("maybe", "", "1")),
    "drive.creationsPerHour": Example("1", 1, ("0", "1000001")),
    "drive.optionalEncryption": Example("clear", "clear", ("none", "")),
    "drive.default.alias1": _GROUP,
    "drive.default.alias2": _GROUP,
    "symmetricKeySet": Example("tapes", "tapes", ("", "a\tb")),
    "config.drivetable.file.url": Example(
        "FILE:///srv/drive%20table",
        "/srv/drive table",
        ("http://x/y", "file://elsewhere/x", "FILE:", "file://", "a\tb"),
    ),
    "store.scrubHours": Example("1", 1, ("0", "8761")),
    "twoPerson": Example("off", "off", ("false", "")),
    "keystore.protect": Example("Peer+Backup", "peer+backup", ("peers", "")),
    "peers.waitMilliseconds": Example("0", 0, ("-1", "5001", "")),
    "peers.strict": Example("on", "on", ("true", "")),
    "peers.awayMinutes": Example("1", 1, ("0", "10081")),
    "peers.lagSeconds": Example("1", 1, ("0", "86401")),
    "keystore.destroyDays": Example("365", 365, ("0", "366")),
    "keystore.slot": Example("password", "password", ("shares", "")),
    "keystore.anchor": _PATH,
    "keystore.keyFile": Example("credential:root", "credential:root", ("",)),
    "keystore.pkcs11.module": _PATH_OR_NONE,
    "keystore.pkcs11.token": _PATH,
    "keystore.pkcs11.key": _PATH,
    "keystore.pkcs11.pinFile": _PATH,
    "backup.target": _PATH_OR_NONE,
    "backup.sameDisk": _FLAG,
    "backup.command": Example("scp -q 'a b'", "scp -q 'a b'", ("scp 'a",)),
    "backup.commandTimeout": _SECONDS,
    "Audit.event.types": Example(
        "runtime; Authentication", frozenset({"runtime", "authentication"}), ("", "all,runtime", "none,all")
    ),
    "Audit.event.outcome": Example("failure", frozenset({"failure"}), ("", "maybe", "success failure")),
    "Audit.handler.file.directory": _PATH,
    "Audit.handler.file.name": Example("other.log", "other.log", ("", "a/b", "..", ".")),
    "Audit.handler.file.size": Example("2000", 2000, ("0", "10 MB")),
    "debug": Example("transport,logic", frozenset({"transport", "logic"}), ("", "on", "all,none")),
    "debug.output.file": _PATH,
    "log.format": Example("JSON", "json", ("xml", "")),
    "log.level": Example("warning", "warning", ("warn", "")),
    "log.syslog": Example(
        "tls://[::1]:6514",
        "tls://[::1]:6514",
        ("tls://x", "http://x:1", "udp://x:0", "udp://x:65536", "tcp://a b:1", "tcp://:1", "tls://x:1/y"),
    ),
    "log.syslog.trust": _PATH_OR_NONE,
    "log.syslog.certificate": _PATH_OR_NONE,
    "log.syslog.key": _PATH_OR_NONE,
    "log.journald": _FLAG,
    "alarms.level": Example("critical", "critical", ("error", "")),
    "alarms.repeatHours": Example("1", 1, ("0", "721", "x")),
    "alarms.diskMegabytes": Example("0", 0, ("-1", "1000001", "")),
    "alarms.mail.server": Example("[::1]:25", ("::1", 25), ("mail.example", "mail.example:0", "a b:25")),
    "alarms.mail.tls": Example("off", "off", ("none", "")),
    "alarms.mail.trust": _PATH_OR_NONE,
    "alarms.mail.user": Example("qekm", "qekm", ("a\x85b",)),
    "alarms.mail.passwordFile": Example("credential:mail", "credential:mail", ("a\x85b",)),
    "alarms.mail.from": Example("q@example.org", "q@example.org", ("q", "q@x.org,r@x.org", "q@x.org r")),
    "alarms.mail.to": Example(
        "a@x.org, b@y.org", ("a@x.org", "b@y.org"), ("a@x.org;b@y.org", "a b@x.org", ",")
    ),
    "alarms.webhook.url": Example(
        "https://x.example/a?b=c",
        "https://x.example/a?b=c",
        ("http://x.example/", "x", "https://", "ftp://x/", "https://u:p@x/", "https://x/a b"),
    ),
    "alarms.webhook.secretFile": _PATH_OR_NONE,
    "alarms.webhook.trust": _PATH_OR_NONE,
    "tracing.endpoint": Example(
        "https://x.example:4317", "https://x.example:4317", ("x:4317", "http://x", "ftp://x:1")
    ),
    "tracing.sample": Example("5", 5, ("-1", "101", "")),
    "tracing.trust": _PATH_OR_NONE,
}
_KEPT = {
    name: Example("any\ttext", "any\ttext", ("a\x1b[2J", "a\x85b"))
    for name, item in PROPERTIES.items()
    if item.origin == "kept"
}

EXAMPLES: Mapping[str, Example] = MappingProxyType(_OURS | _KEPT)
CLIENT_EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "TransportListener.ssl.host": Example("192.0.2.1", "192.0.2.1", ("", "a b")),
        "TransportListener.ssl.port": _PORT,
        "identity": Example("operator", "operator", ("",)),
    }
    | {
        name: Example("x", "x", ("\x1b",))
        for name, item in CLIENT_PROPERTIES.items()
        if item.origin == "kept"
    }
)
