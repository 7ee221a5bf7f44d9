"""All steps of the doctor in their order, and which others each one is of no use without. Pure.

docs/doctor.md has this table; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto


class Kind(Flag):
    """What a home is: of a service, of a gateway alone, of people who administer one from elsewhere."""

    SERVICE = auto()
    GATEWAY = auto()
    CLIENT = auto()


_ANY = Kind.SERVICE | Kind.GATEWAY | Kind.CLIENT
_MACHINES = Kind.SERVICE | Kind.GATEWAY


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name for programs, its title for people, what it looks at, for which homes."""

    name: str
    title: str
    looks: str
    needs: tuple[str, ...] = ()  # steps that must not be broken
    kinds: Kind = _ANY
    deadline_s: float = 5.0


HOME_STEPS = (
    Step("libraries", "libraries", "Python, SQLite and the libraries are not older than they must be"),
    Step("home", "home", "the directory is there, can be read by this user, and holds a key manager"),
    Step(
        "disk",
        "disks",
        "space, inodes and a file system that can be written: store, logs, backups",
        ("home",),
        _MACHINES,
    ),
    Step(
        "permissions", "permissions", "owners and modes of the home, the store, keys and settings", ("home",)
    ),
    Step(
        "configuration", "settings", "files of properties are readable and valid; lines are named", ("home",)
    ),
    Step("clock", "clock", "this machine's clock against certificates, files and its own state", ("home",)),
    Step(
        "certificates",
        "certificates",
        "files parse, keys fit, chains lead to trust.pem, days that are left, roles, the estate",
        ("home", "clock"),
    ),
    Step(
        "keystore",
        "keystore",
        "the key file, PIN file or module that opens the keystore is there",
        ("home", "configuration"),
        Kind.SERVICE,
    ),
    Step(
        "store",
        "store",
        "the file is a store, of a revision that this program knows",
        ("home",),
        Kind.SERVICE,
    ),
    Step(
        "backups",
        "backups",
        "the target is there, can be written and is on another file system; the last verified one",
        ("home", "configuration", "store"),
        Kind.SERVICE,
    ),
    Step(
        "processes",
        "processes",
        "service and gateway: running, gone without a word, frozen, of this version",
        ("home",),
        _MACHINES,
    ),
    Step(
        "ports",
        "ports",
        "each port is ours, or free for us; else who holds it",
        ("home", "configuration", "processes"),
        _MACHINES,
    ),
    Step(
        "limits",
        "hardening",
        "locked memory, core files, swap and entropy, as they should be for keys in memory",
        ("home",),
        _MACHINES,
    ),
    Step("units", "systemd", "the units of service and gateway have not failed", (), _MACHINES),
)
"""Of a home: `qekm-server doctor` does these."""

LINK_STEPS = (
    Step(
        "identity",
        "own certificate",
        "the certificate that is shown to the service: key, chain, days that are left",
        ("home", "clock"),
    ),
    Step(
        "health",
        "health",
        "a service of this home answers a probe: else it is frozen",
        ("home", "processes"),
        Kind.SERVICE,
    ),
    Step("name", "name", "the service's host name has an address", ("home", "configuration", "processes")),
    Step(
        "connect",
        "connection",
        "something listens at the service's port",
        ("name", "processes", "health"),
    ),
    Step(
        "tls",
        "TLS",
        "a server of our estate and of this name speaks TLS 1.3 there, and accepts our certificate",
        ("connect", "identity"),
        deadline_s=8.0,
    ),
    Step(
        "service",
        "service",
        "it answers, is of this program's version, and its clock is as ours",
        ("tls",),
        deadline_s=10.0,
    ),
    Step(
        "status",
        "status",
        "what the service itself says is not as it should be",
        ("service",),
        deadline_s=10.0,
    ),
    Step("gateways", "gateways", "a gateway is connected, of the service's version", ("status",)),
    Step("drives", "drives", "a drive authority is trusted", ("status",)),
    Step("keys", "keys", "each group has keys to give out", ("status",)),
    Step("peers", "peers", "the other servers are connected and have the same rows", ("status",)),
)
"""Of the way to the service: `qekm doctor` does these."""

STEPS = (*HOME_STEPS, *LINK_STEPS)
