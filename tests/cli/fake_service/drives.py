"""The fake of the drives service."""

from __future__ import annotations

from typing import Any

from qekm.errors import DriveExists, ServiceAway, UnknownAuthority, UnknownDrive
from qekm.v1 import drives_pb2

from .parts import moment, page_of


class FakeDrives:
    """The registry and the authorities."""

    def __init__(self) -> None:
        accepted, pending = drives_pb2.DRIVE_STATE_ACCEPTED, drives_pb2.DRIVE_STATE_PENDING
        self.drives = {
            serial: drives_pb2.Drive(
                serial=serial,
                state=state,
                wwnn=bytes.fromhex(wwnn),
                vendor="IBM     ",
                product="ULT3580-TD4     ",
                confirm=True,
                label_mode=drives_pb2.LABEL_MODE_FULL,
                create_time=moment(),
                last_seen_time=moment(9) if state == accepted else None,
            )
            for serial, state, wwnn in (
                ("001300000392", accepted, "500308c09e4a1001"),
                ("001310000363", accepted, "500308c09e4a1002"),
                ("PENDING1", pending, ""),
            )
        }
        self.blocked: list[str] = []
        self.imports: list[drives_pb2.ImportDrivesRequest] = []
        self.authorities = {
            bytes([n] * 32): drives_pb2.Authority(
                fingerprint=bytes([n] * 32), subject=f"CN=Drives {n}", expire_time=moment(n)
            )
            for n in (1, 2)
        }
        self.blocked_keys = [
            drives_pb2.BlockedKey(spki_sha256=bytes([n] * 32), create_time=moment(n)) for n in (1, 2)
        ]
        self.full_after: int | None = None

    def _find(self, serial: str, state: int = 0) -> Any:
        drive = self.drives.get(serial)
        if drive is None or state not in (0, drive.state):
            raise UnknownDrive(f"no drive {serial!r}")
        return drive

    def ListDrives(self, request: Any) -> Any:
        """Answer a page of drives."""
        found = [one for _, one in sorted(self.drives.items()) if request.state in (0, one.state)]
        drives, token = page_of(found, request)
        return drives_pb2.ListDrivesResponse(drives=drives, next_page_token=token, total=len(found))

    def GetDrive(self, request: Any) -> Any:
        """Find a drive."""
        return drives_pb2.GetDriveResponse(drive=self._find(request.serial))

    def CreateDrive(self, request: Any) -> Any:
        """Add a drive, until a planned limit."""
        if request.drive.serial in self.drives:
            raise DriveExists(f"drive {request.drive.serial} exists")
        if self.full_after == 0:
            raise ServiceAway("the service does not answer")
        if self.full_after:
            self.full_after -= 1
        request.drive.state = drives_pb2.DRIVE_STATE_ACCEPTED
        self.drives[request.drive.serial] = request.drive
        return drives_pb2.CreateDriveResponse(drive=request.drive)

    def UpdateDrive(self, request: Any) -> Any:
        """Change what the mask names."""
        drive = self._find(request.drive.serial)
        kept = drives_pb2.Drive()
        kept.CopyFrom(drive)
        request.update_mask.MergeMessage(request.drive, drive, True, True)
        return drives_pb2.UpdateDriveResponse(drive=drive)

    def ImportDrives(self, request: Any) -> Any:
        """Add, change and, if it is to rewrite, remove."""
        self.imports.append(request)
        given = {drive.serial: drive for drive in request.drives}
        gone = [serial for serial in self.drives if request.rewrite and serial not in given]
        known = [serial for serial in given if serial in self.drives]
        for serial in gone:
            del self.drives[serial]
        for serial, drive in given.items():
            self.drives.setdefault(serial, drives_pb2.Drive()).MergeFrom(drive)
        return drives_pb2.ImportDrivesResponse(
            created=len(given) - len(known), updated=len(known), deleted=len(gone)
        )

    def AcceptDrive(self, request: Any) -> Any:
        """Accept a pending drive."""
        drive = self._find(request.serial, drives_pb2.DRIVE_STATE_PENDING)
        drive.state = drives_pb2.DRIVE_STATE_ACCEPTED
        return drives_pb2.AcceptDriveResponse(drive=drive)

    def RejectDrive(self, request: Any) -> Any:
        """Forget a pending drive."""
        del self.drives[self._find(request.serial, drives_pb2.DRIVE_STATE_PENDING).serial]
        return drives_pb2.RejectDriveResponse()

    def DeleteDrive(self, request: Any) -> Any:
        """Remove a drive."""
        del self.drives[self._find(request.serial).serial]
        self.blocked += [request.serial] if request.block else []
        return drives_pb2.DeleteDriveResponse()

    def ListBlockedKeys(self, request: Any) -> Any:
        """Answer a page of blocked keys."""
        keys, token = page_of(self.blocked_keys, request)
        return drives_pb2.ListBlockedKeysResponse(blocked_keys=keys, next_page_token=token)

    def UnblockKey(self, request: Any) -> Any:
        """Block one less."""
        self.blocked_keys = [key for key in self.blocked_keys if key.spki_sha256 != request.spki_sha256]
        return drives_pb2.UnblockKeyResponse()

    def ListAuthorities(self, request: Any) -> Any:
        """Answer a page of authorities."""
        authorities, token = page_of(list(self.authorities.values()), request)
        return drives_pb2.ListAuthoritiesResponse(authorities=authorities, next_page_token=token)

    def CreateAuthority(self, request: Any) -> Any:
        """Trust one more."""
        fingerprint = bytes([9] * 32)
        self.authorities[fingerprint] = drives_pb2.Authority(
            fingerprint=fingerprint, subject="CN=New", certificate=request.certificate
        )
        return drives_pb2.CreateAuthorityResponse(authority=self.authorities[fingerprint])

    def DeleteAuthority(self, request: Any) -> Any:
        """Trust one less."""
        if request.fingerprint not in self.authorities:
            raise UnknownAuthority("no such authority")
        del self.authorities[request.fingerprint]
        return drives_pb2.DeleteAuthorityResponse()
