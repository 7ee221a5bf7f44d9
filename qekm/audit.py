"""Own the audit trail's words: a function per kind of event, the counting of strangers, the chain's check.

Pure: the store chains and signs the records when it commits them (qekm/store/chain.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qekm.errors import QekmError
from qekm.model import AuditRecord, Key, Outcome
from qekm.source import OTHERS
from qekm.store.chain import GENESIS, Link, head_message, link

MINUTE_US = 60_000_000
# (Source, code) pairs told apart in one minute: at most 514 records, about 80 kB, whoever reaches the port.
MAX_STRANGERS = 256
KEY_CREATED, KEY_SERVED = "key.create", "key.serve"  # a key is given to write with, to read with
SERVICE = "server"  # the actor of what the service does by itself
MAX_COUNT = 2**32 - 1  # what a record has room for
_MAX_SOURCE = 64
_PROGRESS = 1_000  # links between two reports of progress


@dataclass(frozen=True, slots=True)
class Subject:
    """What a record of a drive's conversation is about; empty fields are not known."""

    drive_serial: str = ""
    drive_wwnn: bytes = b""
    volser: str = ""


NOBODY = Subject()


def key_given(time_us: int, subject: Subject, alias: str, *, created: bool, message: str = "") -> AuditRecord:
    """Record that a key is about to leave: key.create for a new cartridge, key.serve for a written one."""
    event = KEY_CREATED if created else KEY_SERVED
    return _told(time_us, event, Outcome.INTENT, subject, alias, "", message)


def key_installed(time_us: int, subject: Subject, alias: str) -> AuditRecord:
    """Record that a drive confirmed a key."""
    return _told(time_us, "key.install", Outcome.SUCCESS, subject, alias)


def key_not_installed(time_us: int, subject: Subject, alias: str, code: str, message: str) -> AuditRecord:
    """Record that a drive did not install a key; `code` is the drive's own ASC and ASCQ."""
    return _told(time_us, "key.install", Outcome.FAILURE, subject, alias, code, message)


def key_suspected(time_us: int, subject: Subject, alias: str, message: str) -> AuditRecord:
    """Record that nobody knows whether a drive installed a key: it is never given to another mount."""
    return _told(time_us, "key.suspect", Outcome.FAILURE, subject, alias, "", message)


def key_damaged(time_us: int, subject: Subject, alias: str, message: str) -> AuditRecord:
    """Record that a key's row did not verify when it was to be served."""
    return _told(time_us, "key.damaged", Outcome.FAILURE, subject, alias, "EE31", message)


def key_withheld(time_us: int, subject: Subject, outcome: Outcome = Outcome.INTENT) -> AuditRecord:
    """Record that a drive is about to be told to write in clear, by policy, or has taken note of it."""
    return _told(time_us, "key.none", outcome, subject)


def diagnosed(time_us: int, subject: Subject, alias: str, outcome: Outcome, message: str = "") -> AuditRecord:
    """Record a step of a gateway's test drive, which no key of the estate is given to."""
    return _told(time_us, "diagnosis.serve", outcome, subject, alias, "", message)


def drive_refused(time_us: int, subject: Subject, alias: str, code: str, message: str) -> AuditRecord:
    """Record the refusal of a drive that had proved who it is."""
    return _told(time_us, "drive.refuse", Outcome.FAILURE, subject, alias, code, message)


def drive_enrolled(time_us: int, subject: Subject) -> AuditRecord:
    """Record that an unknown drive entered the registry."""
    return _told(time_us, "drive.enrol", Outcome.SUCCESS, subject)


def session_ended(time_us: int, subject: Subject, alias: str, code: str, message: str) -> AuditRecord:
    """Record that a proved drive's session ended without an answer."""
    return _told(time_us, "session.end", Outcome.FAILURE, subject, alias, code, message)


def keys_refilled(time_us: int, keys: Sequence[Key], group: str) -> AuditRecord:
    """Record that the service itself made keys for a group that is refilled."""
    what = f"{len(keys)} keys for group {group}: {keys[0].alias} to {keys[-1].alias}"
    return occurred(time_us, "group.refill", SERVICE, alias=keys[0].alias, message=what)


def occurred(
    time_us: int,
    event: str,
    actor: str,
    outcome: Outcome = Outcome.SUCCESS,
    subject: Subject = NOBODY,
    alias: str = "",
    code: str = "",
    message: str = "",
) -> AuditRecord:
    """Record what a person or a process did, for example server.start."""
    return AuditRecord(
        time_us,
        event,
        outcome,
        actor,
        subject.drive_serial,
        subject.drive_wwnn,
        subject.volser,
        alias,
        code,
        message,
    )


def called(
    time_us: int,
    method: str,
    actor: str,
    outcome: Outcome = Outcome.SUCCESS,
    subject: Subject = NOBODY,
    alias: str = "",
    code: str = "",
    message: str = "",
) -> AuditRecord:
    """Record a call that changes something, or its refusal: rpc.<Method> by role/name of the caller."""
    return occurred(time_us, f"rpc.{method}", actor, outcome, subject, alias, code, message)


def _told(
    time_us: int,
    event: str,
    outcome: Outcome,
    subject: Subject,
    alias: str = "",
    code: str = "",
    message: str = "",
) -> AuditRecord:
    actor = f"drive/{subject.drive_serial}"
    return occurred(time_us, event, actor, outcome, subject, alias, code, message)


def stranger(host: str) -> str:
    """Return the actor of a sender who proved nothing: with a space, as no role/name has it."""
    return host if host == OTHERS else f"host {host}"


class Strangers:
    """Refusals of senders who proved nothing, or nothing that helps: two records per actor, code and minute.

    The first is written at once, the rest as one record with a count when the minute is over; beyond `most`
    pairs in one minute all further actors count as one.
    """

    __slots__ = ("_event", "_minute", "_most", "_seen")

    def __init__(self, event: str = "drive.refuse", most: int = MAX_STRANGERS) -> None:
        self._event, self._most = event, most
        self._minute = 0
        self._seen: dict[tuple[str, str], AuditRecord] = {}  # count: those not yet written

    def refuse(
        self, time_us: int, source: str, code: str, message: str, drive_serial: str = "", count: int = 1
    ) -> list[AuditRecord]:
        """Count refusals of the actor `source`; return what is to be written now."""
        return self.count(
            AuditRecord(
                time_us,
                self._event,
                Outcome.FAILURE,
                source[:_MAX_SOURCE],
                drive_serial,
                code=code,
                message=message,
                count=count,
            )
        )

    def count(self, record: AuditRecord) -> list[AuditRecord]:
        """Count what a record tells; return what is to be written now. The last one stands for the rest."""
        due = self.flush(record.time_us)
        if len(self._seen) >= self._most and (record.actor, record.code) not in self._seen:
            record = replace(record, actor=OTHERS)
        place = record.actor, record.code
        seen = self._seen.get(place)
        if seen is None:
            due.append(record)
            self._seen[place] = replace(record, count=0)
        else:
            self._seen[place] = replace(record, count=min(seen.count + record.count, MAX_COUNT))
        return due

    def flush(self, time_us: int) -> list[AuditRecord]:
        """Return the records of a minute that is over."""
        minute = time_us // MINUTE_US
        if minute == self._minute:
            return []
        return self.drain(minute)

    def drain(self, minute: int = 0) -> list[AuditRecord]:
        """Return what was counted and not yet written, for example before the service stops."""
        due = [record for record in self._seen.values() if record.count]
        self._seen.clear()
        self._minute = minute
        return due


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the trail found: the first sequence at which it breaks (0: nowhere) and why."""

    checked: int
    broken_at: int
    reason: str
    head: bytes  # hash of the last good link

    @property
    def intact(self) -> bool:
        """Return whether every link and signature holds."""
        return self.broken_at == 0


def verify_trail(
    links: Iterable[Link],
    public_key: Ed25519PublicKey,
    expected_count: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Recompute the whole chain: no gap, every hash and signature, the last link signed, as many as expected.

    It needs nothing but the links and the public key. `progress` is told now and then how many are checked.
    """
    hash_, checked, signed = GENESIS, 0, True
    try:
        for found in links:
            reason = _flaw(found, checked + 1, hash_, public_key)
            if reason:
                return Verdict(checked, checked + 1, reason, hash_)
            hash_, checked, signed = found.hash, checked + 1, found.signature is not None
            if progress is not None and checked % _PROGRESS == 0:
                progress(checked)
    except QekmError as error:  # a row that cannot even be read
        return Verdict(checked, checked + 1, error.message, hash_)
    except (TypeError, ValueError, AttributeError, struct.error):  # a field of a kind that is never written
        return Verdict(checked, checked + 1, "the record's fields cannot be", hash_)
    if not signed:
        return Verdict(checked, checked, "the last record is not signed: records after it are missing", hash_)
    if expected_count is not None and expected_count != checked:
        return Verdict(checked, checked + 1, f"there should be {expected_count} records", hash_)
    return Verdict(checked, 0, "", hash_)


def _flaw(found: Link, sequence: int, previous: bytes, public_key: Ed25519PublicKey) -> str:
    """Return what is wrong with a link, empty if nothing is."""
    if found.sequence != sequence:
        return f"record {sequence} is missing: {found.sequence} follows"
    if link(previous, sequence, found.record) != found.hash:
        return "the record's hash does not hold"
    if found.signature is not None:
        try:
            public_key.verify(found.signature, head_message(sequence, found.hash))
        except InvalidSignature:
            return "the record's signature does not hold"
    return ""
