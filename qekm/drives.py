"""Own the drive registry: drives and pending drives (qekm.entries), drive authorities, blocked keys.

Memory only: what changes is returned, to be committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from qekm.claim import Accept, Claim, described, normalise_serial
from qekm.dcert import DriveTrust, load_authority
from qekm.dkp.codes import Code, Fault
from qekm.entries import Entries, check_fields, check_serial
from qekm.errors import AuthorityExists, BadArgument, DriveExists, UnknownAuthority, UnknownDrive
from qekm.model import Authority, BlockedKey, Change, Drive, DriveState, Removal

MAX_PENDING = 256
PENDING_REFRESH_US = 60_000_000  # a pending drive that asks again is written at most once a minute
_SETTABLE = {
    *("wwnn", "vendor", "product", "firmware", "allowed_groups", "group", "alias", "confirm", "label_mode"),
    "spki_sha256",
}


class Registry(Entries):
    """Drives by serial; `trust` checks their certificates."""

    def __init__(
        self,
        drives: Iterable[Drive],
        authorities: Iterable[Authority],
        blocked: Iterable[BlockedKey],
        now_us: Callable[[], int],
    ) -> None:
        super().__init__(drives)
        self._now_us = now_us
        self._authorities = {authority.fingerprint: authority for authority in authorities}
        self._blocked = {key.spki_sha256: key for key in blocked}
        self._renew_trust()

    # What a conversation asks.

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
        return [self.put(described(Drive(claim.serial, DriveState.PENDING, create_us), claim, b"", now_us))]

    def enrol(self, claim: Claim, spki_sha256: bytes) -> Drive:
        """Enter an unknown drive that proved itself and pin its key; DriveExists if it has an entry now."""
        if claim.serial in self._drives or claim.wwnn in self._wwnns:
            raise DriveExists("an entry of this drive appeared meanwhile", drive=claim.serial)
        now_us = self._now_us()
        new = Drive(claim.serial, DriveState.ACCEPTED, now_us)
        return self.put(described(new, claim, spki_sha256, now_us))

    def see(self, drive: Drive, claim: Claim, spki_sha256: bytes) -> Drive:
        """Note that an entered drive has completed an exchange; what its entry left open is filled in."""
        return self.put(described(drive, claim, spki_sha256, self._now_us()))

    def touch(self, drive: Drive) -> Drive:
        """Note that an entered drive was there, and nothing else."""
        return self.put(replace(drive, last_seen_time_us=self._now_us()))

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
        check_serial(serial)
        if serial in self._drives:
            raise DriveExists(f"drive {serial} is in the registry", drive=serial)
        entry = replace(
            drive,
            serial=serial,
            state=DriveState.ACCEPTED,
            create_time_us=self._now_us(),
            last_seen_time_us=0,
            spki_sha256=b"",
        )
        self._check(entry)
        return [self.put(entry)]

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
        self._check(entry)
        return [self.put(entry)]

    def draft(self, serial: str, said: dict[str, Any]) -> Drive:
        """Return the entry, a new one or the known one changed, that has these fields; BadArgument.

        Nothing is entered, and UNIQUE is not looked at. serial: normalised.
        """
        old = self.find(serial)
        if old is None:
            check_serial(serial)
            entry = Drive(serial, DriveState.ACCEPTED, self._now_us(), **said)
        else:
            entry = replace(old, **said)
        check_fields(entry)
        return entry

    def accept(self, serial: str) -> list[Change]:
        """Move a pending drive into the registry; UnknownDrive, DriveExists for a WWNN that is another's."""
        drive = self._pending.get(normalise_serial(serial))
        if drive is None:
            raise UnknownDrive(f"no drive {serial} is pending", drive=serial)
        entry = replace(drive, state=DriveState.ACCEPTED, last_seen_time_us=0)
        self._check(entry)
        return [self.put(entry)]

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

    # What other servers have changed: nothing of it is refused.

    def take(self, row: Drive | Authority | BlockedKey) -> None:
        """Put a row in the place of the one of its key; StoreDamaged for an authority that is none."""
        if isinstance(row, Drive):
            self.drop_drive(row.serial)
            self.put(row)
        elif isinstance(row, BlockedKey):
            self._blocked[row.spki_sha256] = row
        else:
            DriveTrust([row.certificate])
            self._authorities[row.fingerprint] = row
            self._renew_trust()

    def drop_drive(self, serial: str) -> None:
        """Forget a drive, if it is there."""
        drive = self._drives.get(serial) or self._pending.get(serial)
        if drive is not None:
            self._take_out(drive)

    def drop_blocked(self, spki_sha256: bytes) -> None:
        """Forget that a key is refused, if it is."""
        self._blocked.pop(spki_sha256, None)

    def drop_authority(self, fingerprint: bytes) -> None:
        """End the trust in an authority, if there is any."""
        if self._authorities.pop(fingerprint, None) is not None:
            self._renew_trust()

    def _renew_trust(self) -> None:
        self.trust = DriveTrust(authority.certificate for authority in self._authorities.values())

    def _remove(self, drive: Drive) -> list[Change]:
        self._take_out(drive)
        return [Removal(Drive, drive.serial)]

    def _check(self, drive: Drive) -> None:
        check_fields(drive)
        self.check_unique("wwnn", drive.wwnn, drive.serial)
