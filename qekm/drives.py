"""Own the drive registry: drives, pending drives, drive authorities, blocked keys.

Memory only: what changes is returned, to be committed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from qekm.claim import DIAGNOSIS_SERIAL, Accept, Claim, described, normalise_serial
from qekm.dcert import DriveTrust, load_authority
from qekm.dkp.codes import Code, Fault
from qekm.dkp.names import fold
from qekm.errors import AuthorityExists, BadArgument, DriveExists, KeyInUse, UnknownAuthority, UnknownDrive
from qekm.model import Authority, BlockedKey, Change, Drive, DriveState, Removal

MAX_PENDING = 256
PENDING_REFRESH_US = 60_000_000  # a pending drive that asks again is written at most once a minute
MAX_SERIAL = 16
_TEXTS = {"vendor": 8, "product": 16, "firmware": 4, "library_serial": 32}
_SETTABLE = {
    *("wwnn", "vendor", "product", "firmware", "allowed_groups", "group", "alias", "confirm", "label_mode"),
    "spki_sha256",
}


class Registry:
    """Drives by serial; `trust` checks their certificates."""

    def __init__(
        self,
        drives: Iterable[Drive],
        authorities: Iterable[Authority],
        blocked: Iterable[BlockedKey],
        now_us: Callable[[], int],
    ) -> None:
        self._now_us = now_us
        self._drives: dict[str, Drive] = {}
        self._pending: dict[str, Drive] = {}
        self._wwnns: dict[bytes, str] = {}  # of accepted drives: what a pending one says is not proved
        self._aliases: dict[str, str] = {}  # that entries name as their own key, folded -> serial
        self._authorities = {authority.fingerprint: authority for authority in authorities}
        self._blocked = {key.spki_sha256: key for key in blocked}
        self._order: list[str] | None = None
        self.version = 0  # of what entries say, but for when a drive was last seen
        self._renew_trust()
        for drive in drives:
            self._enter(drive)

    # What a conversation asks.

    def find(self, serial: str) -> Drive | None:
        """Return the accepted drive of a serial, None if there is none."""
        return self._drives.get(serial)

    def check_claim(self, serial: str, wwnn: bytes, product: str, accept: str) -> Drive | None:
        """Return the entry of a drive that may go on, None for an unknown one; Fault EF01 or EE25."""
        drive = self._drives.get(serial)
        if drive is None and accept != Accept.TRUE:
            raise Fault(Code.EF01, "the drive is not in the registry")
        if self._wwnns.get(wwnn, serial) != serial:
            raise Fault(Code.EE25, "the WWNN is another drive's")
        if drive is not None:
            if drive.wwnn and drive.wwnn != wwnn:
                raise Fault(Code.EE25, "the WWNN differs from the drive's entry")
            if drive.product and drive.product != product:
                raise Fault(Code.EE25, "the product differs from the drive's entry")
        return drive

    def is_blocked(self, spki_sha256: bytes) -> bool:
        """Tell whether an administrator refused this public key for good."""
        return spki_sha256 in self._blocked

    def wait(self, claim: Claim) -> list[Change]:
        """List an unknown drive as pending; beyond MAX_PENDING it is not listed."""
        now_us = self._now_us()
        seen = self._pending.get(claim.serial)
        if claim.serial in self._drives or (seen is None and len(self._pending) >= MAX_PENDING):
            return []
        if seen is not None and 0 <= now_us - seen.last_seen_time_us < PENDING_REFRESH_US:
            return []
        create_us = now_us if seen is None else seen.create_time_us
        return [
            self._enter(described(Drive(claim.serial, DriveState.PENDING, create_us), claim, b"", now_us))
        ]

    def enrol(self, claim: Claim, spki_sha256: bytes) -> Drive:
        """Enter an unknown drive that proved itself and pin its key; DriveExists if it has an entry now."""
        if claim.serial in self._drives or claim.wwnn in self._wwnns:
            raise DriveExists("an entry of this drive appeared meanwhile", drive=claim.serial)
        now_us = self._now_us()
        return self._enter(
            described(Drive(claim.serial, DriveState.ACCEPTED, now_us), claim, spki_sha256, now_us)
        )

    def see(self, drive: Drive, claim: Claim, spki_sha256: bytes) -> Drive:
        """Note that an entered drive has completed an exchange; what its entry left open is filled in."""
        return self._enter(described(drive, claim, spki_sha256, self._now_us()))

    def touch(self, drive: Drive) -> Drive:
        """Note that an entered drive was there, and nothing else."""
        return self._enter(replace(drive, last_seen_time_us=self._now_us()))

    # What administrators ask. Each returns what to commit, the noun first.

    def get(self, serial: str) -> Drive:
        """Return a drive, accepted or pending; UnknownDrive."""
        serial = normalise_serial(serial)
        drive = self._drives.get(serial) or self._pending.get(serial)
        if drive is None:
            raise UnknownDrive(f"there is no drive {serial}", drive=serial)
        return drive

    def create(self, drive: Drive) -> list[Change]:
        """Add a drive before it first asks, whatever state, times, SPKI it has. DriveExists, BadArgument."""
        serial = normalise_serial(drive.serial)
        if not (1 <= len(serial) <= MAX_SERIAL and serial.isascii() and serial.isprintable()):
            raise BadArgument(
                f"a drive's serial has 1 to {MAX_SERIAL} printable ASCII characters", field="serial"
            )
        if serial == DIAGNOSIS_SERIAL:
            raise BadArgument(f"{serial} is the serial of the test drive", field="serial")
        if serial in self._drives:
            raise DriveExists(f"drive {serial} is in the registry", drive=serial)
        entry = replace(drive, serial=serial, state=DriveState.ACCEPTED, create_time_us=self._now_us())
        entry = replace(entry, last_seen_time_us=0, spki_sha256=b"")
        self._check_fields(entry)
        return [self._enter(entry)]

    def update(self, serial: str, /, **values: Any) -> list[Change]:
        """Change fields of an accepted drive; SPKI only to empty. UnknownDrive, BadArgument, DriveExists."""
        drive = self.get(serial)
        unknown = values.keys() - _SETTABLE
        if unknown:
            raise BadArgument(f"{min(unknown)} cannot be changed", field=min(unknown))
        if values.get("spki_sha256"):
            raise BadArgument("spki_sha256 can only be emptied", field="spki_sha256")
        if drive.state is DriveState.PENDING:
            raise UnknownDrive(f"drive {drive.serial} is pending", hint="accept it first", drive=drive.serial)
        entry = replace(drive, **values)
        self._check_fields(entry)
        return [self._enter(entry)]

    def accept(self, serial: str) -> list[Change]:
        """Move a pending drive into the registry; UnknownDrive, DriveExists for a WWNN that is another's."""
        drive = self._pending.get(normalise_serial(serial))
        if drive is None:
            raise UnknownDrive(f"no drive {serial} is pending", drive=serial)
        entry = replace(drive, state=DriveState.ACCEPTED, last_seen_time_us=0)
        self._check_fields(entry)
        return [self._enter(entry)]

    def reject(self, serial: str) -> list[Change]:
        """Take a drive off the pending list; UnknownDrive."""
        serial = normalise_serial(serial)
        if serial not in self._pending:
            raise UnknownDrive(f"no drive {serial} is pending", drive=serial)
        return self._remove(self._pending[serial])

    def delete(self, serial: str, block: bool = False) -> list[Change]:
        """Remove a drive; block: refuse its key for good. UnknownDrive, BadArgument if there is no key."""
        drive = self.get(serial)
        if block and not drive.spki_sha256:
            raise BadArgument(
                f"drive {drive.serial} was never served: there is no key to block", field="block"
            )
        changes = self._remove(drive)
        if block:
            key = self._blocked[drive.spki_sha256] = BlockedKey(drive.spki_sha256, self._now_us())
            changes.append(key)
        return changes

    def blocked(self) -> list[BlockedKey]:
        """Return the keys that are refused for good, by hash."""
        return [self._blocked[spki_sha256] for spki_sha256 in sorted(self._blocked)]

    def unblock(self, spki_sha256: bytes) -> list[Change]:
        """Let a key be used again; UnknownDrive if it is not refused."""
        if self._blocked.pop(spki_sha256, None) is None:
            raise UnknownDrive("no drive's key with this hash is blocked", spki_sha256=spki_sha256.hex())
        return [Removal(BlockedKey, spki_sha256)]

    def check_alias(self, alias: str, serial: str) -> None:
        """Raise KeyInUse if another drive's entry names this key as its own."""
        other = self._aliases.get(fold(alias), serial)
        if other != serial:
            raise KeyInUse(f"key {alias} is drive {other}'s own", alias=alias, drive=other)

    def names_key(self, alias: str) -> bool:
        """Tell whether an entry names this key as the drive's own."""
        return fold(alias) in self._aliases

    def entries(self) -> Iterable[Drive]:
        """Return all accepted drives. For the start, not for serving."""
        return self._drives.values()

    def names_group(self, name: str) -> bool:
        """Tell whether an entry names this group, as its own or as allowed."""
        return any(name == drive.group or name in drive.allowed_groups for drive in self._drives.values())

    def page(self, after_serial: str = "", limit: int = 100, state: DriveState | None = None) -> list[Drive]:
        """Return at most `limit` drives in order of their serials that follow `after_serial`."""
        chosen = self._in_state(state)
        if self._order is None:
            self._order = sorted({*self._drives, *self._pending})
        start = bisect_right(self._order, after_serial)
        following = (serial for serial in islice(self._order, start, None) if serial in chosen)
        return [chosen[serial] for serial in islice(following, limit)]

    def total(self, state: DriveState | None = None) -> int:
        """Return how many drives are in a state, or at all."""
        return len(self._in_state(state))

    # Authorities.

    def authorities(self) -> list[Authority]:
        """Return the drive authorities by fingerprint."""
        return [self._authorities[fingerprint] for fingerprint in sorted(self._authorities)]

    def check_authority(self, certificate: bytes) -> Authority:
        """Return the authority that `add_authority` would trust; BadCertificate, AuthorityExists."""
        authority = load_authority(certificate, self._now_us())
        if authority.fingerprint in self._authorities:
            raise AuthorityExists(f"{authority.subject} is trusted already")
        return authority

    def add_authority(self, certificate: bytes) -> list[Change]:
        """Trust a CA certificate, DER or PEM, to name drives; errors as `check_authority`."""
        authority = self.check_authority(certificate)
        self._authorities[authority.fingerprint] = authority
        self._renew_trust()
        return [authority]

    def remove_authority(self, fingerprint: bytes) -> list[Change]:
        """End the trust in an authority at once; UnknownAuthority."""
        if self._authorities.pop(fingerprint, None) is None:
            raise UnknownAuthority("no drive authority has this fingerprint", fingerprint=fingerprint.hex())
        self._renew_trust()
        return [Removal(Authority, fingerprint)]

    def _renew_trust(self) -> None:
        self.trust = DriveTrust(authority.certificate for authority in self._authorities.values())

    def _enter(self, drive: Drive) -> Drive:
        serial = drive.serial
        old = self._drives.get(serial)
        if old is None and serial not in self._pending:
            self._order = None
        if drive.state is DriveState.PENDING:
            self._pending[serial] = drive
            return drive
        self._pending.pop(serial, None)
        if old is not None and old.wwnn != drive.wwnn:
            self._wwnns.pop(old.wwnn, None)
        if drive.wwnn:
            self._wwnns[drive.wwnn] = serial
        if old is not None and old.alias != drive.alias:
            self._forget_alias(old)
        if drive.alias:
            self._aliases.setdefault(fold(drive.alias), serial)
        self._drives[serial] = drive
        self.version += old is None or replace(old, last_seen_time_us=drive.last_seen_time_us) != drive
        return drive

    def _remove(self, drive: Drive) -> list[Change]:
        self._pending.pop(drive.serial, None)
        if self._drives.pop(drive.serial, None) is not None:
            self._wwnns.pop(drive.wwnn, None)
            self._forget_alias(drive)
            self.version += 1
        self._order = None
        return [Removal(Drive, drive.serial)]

    def _forget_alias(self, drive: Drive) -> None:
        if self._aliases.get(fold(drive.alias)) == drive.serial:
            del self._aliases[fold(drive.alias)]

    def _in_state(self, state: DriveState | None) -> dict[str, Drive]:
        if state is DriveState.ACCEPTED:
            return self._drives
        return self._pending if state is DriveState.PENDING else self._drives | self._pending

    def _check_fields(self, drive: Drive) -> None:
        if len(drive.wwnn) not in (0, 8):
            raise BadArgument("a WWNN has 8 bytes", field="wwnn")
        if self._wwnns.get(drive.wwnn, drive.serial) != drive.serial:
            raise DriveExists(f"the WWNN is drive {self._wwnns[drive.wwnn]}'s", drive=self._wwnns[drive.wwnn])
        for name, most in _TEXTS.items():
            text = getattr(drive, name)
            if len(text) > most or not (text.isascii() and (text.isprintable() or not text)):
                raise BadArgument(f"{name} has at most {most} printable ASCII characters", field=name)
