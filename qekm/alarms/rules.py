"""Which records of the trail are alarms: a table, read top to bottom. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from qekm.alarms.alarm import Severity
from qekm.dkp.codes import Code
from qekm.model import AuditRecord, Outcome
from qekm.source import OTHERS

EXPIRING, BACKUP_LATE, DRILL_LATE = "certificate.expiring", "backup.late", "drill.late"
DISK_LOW, LOG_FAIL, GATEWAY_AWAY, READ_ONLY = "disk.low", "log.fail", "gateway.away", "keystore.readonly"
CROWD = 100  # refusals of one stranger in a minute
_BAD, _GOOD = Outcome.FAILURE, Outcome.SUCCESS
_NOTICE, _WARNING, _CRITICAL = Severity
Word = Callable[[AuditRecord], str]


def _named(pattern: str) -> Word:
    """Return what finds a name in the text that this release's own code writes."""
    compiled = re.compile(pattern)

    def find(record: AuditRecord) -> str:
        found = compiled.search(record.message)
        return found[1] if found else ""

    return find


def _nothing(_record: AuditRecord) -> str:
    return ""


def _alias(record: AuditRecord) -> str:
    return record.alias


def _drive(record: AuditRecord) -> str:
    return record.drive_serial


def _actor(record: AuditRecord) -> str:
    return record.actor


_GROUP, _PEER = _named(r"\bgroup (.+?): "), _named(r"\bserver (\S+) ")
_PAIR, _HEAD = _named(r" and (\S+) (?:differ|are)"), _named(r"^(.+?): ")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: a record of this event and outcome begins the alarm.

    subject: finds what it is about. well: the event whose success ends it; empty: it happens at one moment,
    and stands for a while. codes: if any, the record has one of them. advice: {} is the subject.
    """

    event: str
    severity: Severity
    title: str
    advice: str
    subject: Word = _nothing
    well: str = ""
    outcome: Outcome = _BAD
    codes: tuple[str, ...] = ()
    least: int = 0  # records of strangers that stand for fewer are none

    def fits(self, record: AuditRecord) -> bool:
        """Tell whether a record of its event and outcome begins it."""
        if self.codes and record.code not in self.codes:
            return False
        if not self.least:
            return True
        return record.count >= self.least and record.actor.startswith(("host ", OTHERS))

    def advise(self, subject: str) -> str:
        """Return what to do."""
        return self.advice.replace("{}", subject)


RULES = (
    Rule("key.damaged", _CRITICAL, "a key does not verify", "qekm keys show {}", _alias),
    Rule("key.suspect", _WARNING, "nobody knows whether a drive uses a key", "qekm keys show {}", _alias),
    Rule(
        "key.none",
        _WARNING,
        "a drive writes in clear, as its entry says",
        "qekm drives show {}",
        _drive,
        outcome=Outcome.INTENT,
    ),
    Rule(
        "drive.refuse",
        _CRITICAL,
        "a drive got no key: none is left",
        "qekm groups list",
        _drive,
        codes=(Code.EE34.name,),
    ),
    Rule("drive.refuse", _WARNING, "many refusals of one sender", "qekm audit list", _actor, least=CROWD),
    Rule("rpc.refuse", _WARNING, "many refused calls of one sender", "qekm audit list", _actor, least=CROWD),
    Rule("group.low", _WARNING, "few keys are left", "qekm keys generate --group {}", _GROUP, "group.low"),
    Rule("group.refill", _WARNING, "no keys could be made", "qekm groups show {}", _GROUP, "group.refill"),
    Rule(READ_ONLY, _CRITICAL, "no new keys are given", "qekm keystore status", well=READ_ONLY),
    Rule("store.damaged", _CRITICAL, "the store is damaged", "qekm backup restore --help"),
    Rule(
        "store.behind",
        _CRITICAL,
        "the store may be an old copy",
        "qekm keystore status",
        well="store.anchor",
    ),
    Rule("peer.silent", _CRITICAL, "a server is silent", "qekm peers status", _PEER, "peer.heard"),
    Rule("peer.lag", _WARNING, "a server is behind", "qekm peers status", _PEER, "peer.lag"),
    Rule("peer.diverge", _CRITICAL, "stores differ", "qekm peers sync", _PAIR, "peer.agree"),
    Rule(
        "peer.substitute",
        _WARNING,
        "backups count instead of a peer",
        "qekm peers status",
        well="peer.substitute",
    ),
    Rule("peer.refuse", _WARNING, "a server was refused", "qekm peers list", _actor),
    Rule("backup.create", _CRITICAL, "the backup failed", "qekm backup create", well="backup.create"),
    Rule("backup.verify", _CRITICAL, "a backup does not prove", "qekm backup list", _HEAD),
    Rule("backup.drill", _WARNING, "a drill failed", "qekm backup drill", _HEAD),
    Rule(BACKUP_LATE, _CRITICAL, "the newest backup is too old", "qekm backup create", well=BACKUP_LATE),
    Rule(DRILL_LATE, _WARNING, "nobody has opened a backup for long", "qekm backup drill", well=DRILL_LATE),
    Rule(
        EXPIRING,
        _CRITICAL,
        "a certificate is about to end",
        "qekm certificates list",
        _HEAD,
        EXPIRING,
        codes=("DAYS_0", "DAYS_7"),
    ),
    Rule(EXPIRING, _WARNING, "a certificate ends soon", "qekm certificates list", _HEAD, EXPIRING),
    Rule("account.lock", _WARNING, "wrong passwords: an account is locked", "qekm accounts list", _actor),
    Rule(GATEWAY_AWAY, _CRITICAL, "no gateway: no drive is served", "qekm server status", well=GATEWAY_AWAY),
    Rule(DISK_LOW, _CRITICAL, "the disk is nearly full", "qekm server status", _HEAD, DISK_LOW),
    Rule(LOG_FAIL, _WARNING, "a log cannot be written", "qekm server status", well=LOG_FAIL),
    Rule("server.cut", _WARNING, "the last run ended without a stop", "qekm audit list"),
    Rule("server.start", _NOTICE, "the service started", "qekm server status", outcome=_GOOD),
    Rule("server.stop", _NOTICE, "the service stopped", "qekm server start", outcome=_GOOD),
)


def _begins() -> Mapping[tuple[str, Outcome], Sequence[Rule]]:
    found: dict[tuple[str, Outcome], list[Rule]] = defaultdict(list)
    for rule in RULES:
        found[rule.event, rule.outcome].append(rule)
    return MappingProxyType(found)


_BEGINS = _begins()
_ENDS: Mapping[str, Rule] = MappingProxyType({rule.well: rule for rule in RULES if rule.well})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a record says of an alarm: that it begins, or lasts, or that it is well again."""

    rule: Rule
    subject: str
    ended: bool


def judge(record: AuditRecord) -> Judgement | None:
    """Return what a record of the trail says of an alarm; None for nearly all of them."""
    for rule in _BEGINS.get((record.event, record.outcome), ()):
        if rule.fits(record):
            return Judgement(rule, rule.subject(record), ended=False)
    rule_ended = _ENDS.get(record.event) if record.outcome is _GOOD else None
    return Judgement(rule_ended, rule_ended.subject(record), ended=True) if rule_ended else None
