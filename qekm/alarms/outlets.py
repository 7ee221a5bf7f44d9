"""Who hears of alarms, made from the properties, each with a courier of its own."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from qekm.alarms.digest import Digest, merged
from qekm.alarms.mail import Mail
from qekm.alarms.webhook import Webhook
from qekm.logs.courier import Courier
from qekm.properties.alarms import (
    MAIL_FROM,
    MAIL_PASSWORD,
    MAIL_SERVER,
    MAIL_TLS,
    MAIL_TO,
    MAIL_TRUST,
    MAIL_USER,
    WEBHOOK_SECRET,
    WEBHOOK_TRUST,
    WEBHOOK_URL,
)
from qekm.sealing import read_private
from qekm.secret import Secret

LONGEST = 4_096  # bytes of a file with a secret
WAITS_S = 2.0, 300.0  # between two attempts: the first time, and at most
MOST = 256  # digests that wait apart
Receiver = Mail | Webhook
Locate = Callable[[str], tuple[Path, Path | None]]
"""Finds the file that a property names, and the directory of systemd's credentials (qekm.unlocking)."""


class Settings(Protocol):
    """Typed values by the name of their property."""

    def __getitem__(self, name: str) -> Any:
        """Return a property's value."""


def receivers_of(
    settings: Settings, home: Path, locate: Locate, now_us: Callable[[], int]
) -> Iterator[Receiver]:
    """Yield who hears of alarms."""
    if settings[MAIL_SERVER] and settings[MAIL_FROM] and settings[MAIL_TO]:
        yield Mail(
            settings[MAIL_SERVER],
            settings[MAIL_TLS],
            settings[MAIL_FROM],
            settings[MAIL_TO],
            settings[MAIL_USER],
            lambda: _secret(locate, settings[MAIL_PASSWORD], MAIL_PASSWORD),
            lambda: _context(home, settings[MAIL_TRUST]),
        )
    if settings[WEBHOOK_URL]:
        named = settings[WEBHOOK_SECRET]
        yield Webhook(
            settings[WEBHOOK_URL],
            (lambda: _secret(locate, named, WEBHOOK_SECRET)) if named else None,
            now_us,
            lambda: _context(home, settings[WEBHOOK_TRUST]),
        )


def courier_of(receiver: Receiver) -> Courier[Digest]:
    """Return the courier of a receiver; all digests that wait become one message, and none is lost."""
    return Courier(receiver.name, receiver, most=MOST, batch=MOST, waits_s=WAITS_S, merge=merged)


def missing(settings: Settings) -> Iterator[str]:
    """Yield what a status says of properties that do not go together."""
    if settings[MAIL_SERVER]:
        wanted = [name for name in (MAIL_FROM, MAIL_TO) if not settings[name]]
        wanted += [MAIL_PASSWORD] if settings[MAIL_USER] and not settings[MAIL_PASSWORD] else []
        for name in wanted:
            yield f"{MAIL_SERVER} is set and {name} is not: no mail is sent"


def _context(home: Path, trust: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.fspath(home / trust) if trust else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _secret(locate: Locate, named: str, option: str) -> Secret:
    path, credentials = locate(named)
    content = read_private(path, LONGEST, title="file", option=option, credentials=credentials)
    return Secret(content.removesuffix(b"\n").removesuffix(b"\r"))
