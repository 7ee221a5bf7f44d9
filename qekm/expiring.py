"""Tell which certificates end soon: one rule for the status, the trail, the alarms and the figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qekm import pki
from qekm.certificates import Certificates
from qekm.model import Authority, Certificate, Partner, Role

LEVELS = 7, 30, 60  # days before the end at which somebody is told, the last one first
ENDED = 0  # the level of one that has ended
_DAY_US = 86_400 * 1_000_000
_BY_ITSELF = frozenset({"server", "gateway"})
_OVERDUE_DAYS = 29  # those renew themselves from the 30th day on, and look every day
_ADVICE = {
    "authority": "qekm certificates rollover start",
    "drive-authority": "qekm drives authorities add FILE",
    "partner": "qekm certificates import FILE",
    "server": "see the log of the server, then restart it",
    "gateway": "see the log of the gateway, then restart it",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate in force, or one that ended unrevoked, and when it ends.

    role: one of ours in lower case, or authority, drive-authority, partner. name: of whom, within its role.
    mark: its serial, or its SHA-256, hex.
    """

    role: str
    name: str
    mark: str
    end_us: int

    @property
    def who(self) -> str:
        """Return role and name, as role/name of the audit trail."""
        return f"{self.role}/{self.name}"

    def days(self, now_us: int) -> int:
        """Return the whole days that are left; below 0 once it has ended."""
        return (self.end_us - now_us) // _DAY_US


@dataclass(frozen=True, slots=True)
class Expiring:
    """A certificate that somebody is to be told of. level: 60, 30, 7 or, once it has ended, 0."""

    role: str
    name: str
    mark: str
    days: int
    level: int

    @property
    def who(self) -> str:
        """Return role and name."""
        return f"{self.role}/{self.name}"

    @property
    def advice(self) -> str:
        """Return what to do, mostly a command."""
        return _ADVICE.get(self.role, f"qekm certificates renew {self.name}")

    @property
    def line(self) -> str:
        """Return what a status says."""
        what = f"certificate {self.mark} of {self.who}"
        if self.level == ENDED:
            return f"{what} has ended: {self.advice if self.role in _ADVICE else 'renew or revoke it'}"
        overdue = " and was not renewed by itself" if self.role in _BY_ITSELF else ""
        return f"{what} ends in {self.days} days{overdue}"


def endings(
    certificates: Certificates,
    authorities: Iterable[Authority] = (),
    partners: Iterable[Partner] = (),
) -> list[Ending]:
    """Return what is in force: of each role and name the newest, trusted authorities, partners.

    Not those that partners know us by: they are made anew where they are used (qekm/api/pairs.py).
    """
    own = certificates.issuer.certificate
    found = [Ending("authority", "internal", pki.fingerprint(own).hex(), pki.end_us(own))]
    found += [_of(each) for each in _newest(certificates)]
    found += [
        Ending("drive-authority", e.subject, e.fingerprint.hex(), e.expire_time_us) for e in authorities
    ]
    found += [Ending("partner", e.name, e.fingerprint.hex(), e.expire_time_us) for e in partners]
    return found


def expiring(found: Iterable[Ending], now_us: int) -> list[Expiring]:
    """Return those that somebody is to be told of, the first to end first."""
    judged = ((ending, level_of(ending, now_us)) for ending in sorted(found, key=lambda each: each.end_us))
    return [
        Expiring(ending.role, ending.name, ending.mark, ending.days(now_us), level)
        for ending, level in judged
        if level is not None
    ]


def level_of(ending: Ending, now_us: int) -> int | None:
    """Return 60, 30, 7 or 0 for the step that a certificate is at, None while nobody need be told.

    Who renews it by himself has failed to a day after it was due: that is told, and no sooner.
    """
    left_us = ending.end_us - now_us
    if left_us <= 0:
        return ENDED
    if ending.role in _BY_ITSELF and left_us >= _OVERDUE_DAYS * _DAY_US:
        return None
    return next((days for days in LEVELS if left_us <= days * _DAY_US), None)


def _newest(certificates: Iterable[Certificate]) -> Iterator[Certificate]:
    """Yield the newest certificate of each role and name; who was invited has one for a day, by intention."""
    latest: dict[tuple[Role, str], Certificate] = {}
    for each in certificates:
        if each.revoke_time_us or each.role is Role.CANDIDATE:
            continue
        before = latest.get((each.role, each.name))
        if before is None or each.start_time_us >= before.start_time_us:
            latest[each.role, each.name] = each
    yield from latest.values()


def _of(record: Certificate) -> Ending:
    return Ending(record.role.name.lower(), record.name, record.serial, record.expire_time_us)
