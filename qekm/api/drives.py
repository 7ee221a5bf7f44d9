"""DrivesService: the drive registry over the wire."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from qekm.allocator import Allocator
from qekm.api.consent import Consents
from qekm.api.fields import chosen, paths_of, sized, stamp
from qekm.api.journal import Journal, about
from qekm.api.paging import Paged, cut
from qekm.approvals import Act
from qekm.claim import normalise_serial
from qekm.drives import Registry
from qekm.enlisting import Enlisting, Said
from qekm.errors import BadArgument
from qekm.model import Authority, BlockedKey, Drive, DriveState, LabelMode
from qekm.v1 import drives_pb2 as pb
from qekm.v1.drives_pb2_grpc import DrivesServiceServicer

_CHANGEABLE = (
    *("wwnn", "vendor", "product", "firmware", "allowed_groups", "group", "alias", "confirm", "label_mode"),
    "spki_sha256",
)
_IMPORTED = ("wwnn", "vendor", "product", "firmware", "allowed_groups", "group", "alias", "label_mode")
_SLICE = 64  # imported entries, between which drives are served: 3 ms
MOST_IMPORTED = 10_000  # entries a call; they are committed in one transaction


class DrivesServicer(DrivesServiceServicer):
    """Thin: drives and authorities in and out; names in an entry are checked against their owners."""

    def __init__(
        self, registry: Registry, allocator: Allocator, journal: Journal, consents: Consents
    ) -> None:
        self._registry = registry
        self._allocator = allocator
        self._journal, self._consents = journal, consents

    async def ListDrives(self, request: pb.ListDrivesRequest, context: Any) -> pb.ListDrivesResponse:
        """List accepted and pending drives by serial."""
        page = Paged.of(request)
        state = chosen(DriveState, request.state, "state") if request.state else None
        found = self._registry.page(page.text, page.size + 1, state)
        rows, token = cut(page, found, lambda drive: drive.serial)
        total = self._registry.total(state)
        return pb.ListDrivesResponse(drives=map(to_proto, rows), next_page_token=token, total=total)

    async def GetDrive(self, request: pb.GetDriveRequest, context: Any) -> pb.GetDriveResponse:
        """Return one drive; UnknownDrive."""
        return pb.GetDriveResponse(drive=to_proto(self._registry.get(request.serial)))

    async def CreateDrive(self, request: pb.CreateDriveRequest, context: Any) -> pb.CreateDriveResponse:
        """Add a drive before it first asks; DriveExists, BadArgument, UnknownGroup, UnknownKey, KeyInUse."""
        changes = self._registry.create(self._checked(_from_proto(request.drive)))
        drive = self._registry.get(request.drive.serial)
        changes += self._allocator.bind(drive)
        await self._journal.commit("CreateDrive", changes, about(drive), alias=drive.alias)
        return pb.CreateDriveResponse(drive=to_proto(drive))

    async def UpdateDrive(self, request: pb.UpdateDriveRequest, context: Any) -> pb.UpdateDriveResponse:
        """Change the fields that update_mask names; UnknownDrive, BadArgument, DriveExists, …"""
        paths = paths_of(request.update_mask, _CHANGEABLE)
        values = self._checked(_from_proto(request.drive))
        changes = self._registry.update(
            request.drive.serial, **{path: getattr(values, path) for path in paths}
        )
        drive = self._registry.get(request.drive.serial)
        changes += self._allocator.bind(drive) if "alias" in paths else ()
        await self._journal.commit("UpdateDrive", changes, about(drive), message=", ".join(sorted(paths)))
        return pb.UpdateDriveResponse(drive=to_proto(drive))

    async def AcceptDrive(self, request: pb.AcceptDriveRequest, context: Any) -> pb.AcceptDriveResponse:
        """Move a pending drive into the registry; UnknownDrive, DriveExists."""
        changes = self._registry.accept(request.serial)
        drive = self._registry.get(request.serial)
        await self._journal.commit("AcceptDrive", changes, about(drive))
        return pb.AcceptDriveResponse(drive=to_proto(drive))

    async def RejectDrive(self, request: pb.RejectDriveRequest, context: Any) -> pb.RejectDriveResponse:
        """Take a drive off the pending list; UnknownDrive."""
        drive = self._registry.get(request.serial)
        await self._journal.commit("RejectDrive", self._registry.reject(request.serial), about(drive))
        return pb.RejectDriveResponse()

    async def ImportDrives(self, request: pb.ImportDrivesRequest, context: Any) -> pb.ImportDrivesResponse:
        """Take a whole table in, all or nothing; BadArgument, DriveExists, UnknownGroup, UnknownKey, …"""
        if len(request.drives) > MOST_IMPORTED:
            told = f"{len(request.drives):,} entries; a call takes at most {MOST_IMPORTED:,}"
            raise BadArgument(told, field="drives")
        if request.rewrite and not request.drives:
            raise BadArgument("a table without a drive would remove every drive there is", field="drives")
        enlisting = Enlisting(self._registry, self._allocator, request.rewrite)
        for number, drive in enumerate(request.drives):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            enlisting.add(*_said(drive))
        found = enlisting.enter()
        what = f"{found.created:,} created, {found.updated:,} updated, {found.deleted:,} deleted"
        what += "; rewritten" if request.rewrite else ""
        await self._journal.commit("ImportDrives", found.changes, message=what)
        return pb.ImportDrivesResponse(created=found.created, updated=found.updated, deleted=found.deleted)

    async def DeleteDrive(self, request: pb.DeleteDriveRequest, context: Any) -> pb.DeleteDriveResponse:
        """Remove a drive and, on request, refuse its key for good; UnknownDrive, BadArgument."""
        drive = self._registry.get(request.serial)
        changes = self._registry.delete(request.serial, request.block)
        what = f"key {drive.spki_sha256.hex()} is refused from now on" if request.block else ""
        await self._journal.commit("DeleteDrive", changes, about(drive), message=what)
        return pb.DeleteDriveResponse()

    async def ListBlockedKeys(
        self, request: pb.ListBlockedKeysRequest, context: Any
    ) -> pb.ListBlockedKeysResponse:
        """List the drives' keys that are refused for good, by hash."""
        page = Paged.of(request)
        following = [each for each in self._registry.blocked() if each.spki_sha256.hex() > page.text]
        rows, token = cut(page, following, lambda each: each.spki_sha256.hex())
        return pb.ListBlockedKeysResponse(blocked_keys=map(_refused, rows), next_page_token=token)

    async def UnblockKey(self, request: pb.UnblockKeyRequest, context: Any) -> pb.UnblockKeyResponse:
        """Let a drive's key be used again; UnknownDrive, BadArgument."""
        spki_sha256 = sized(request.spki_sha256, (32,), "spki_sha256")
        changes = self._registry.unblock(spki_sha256)
        await self._journal.commit("UnblockKey", changes, message=f"key {spki_sha256.hex()}")
        return pb.UnblockKeyResponse()

    async def ListAuthorities(
        self, request: pb.ListAuthoritiesRequest, context: Any
    ) -> pb.ListAuthoritiesResponse:
        """List the drive authorities by fingerprint."""
        page = Paged.of(request)
        following = [each for each in self._registry.authorities() if each.fingerprint.hex() > page.text]
        rows, token = cut(page, following, lambda each: each.fingerprint.hex())
        return pb.ListAuthoritiesResponse(authorities=map(_told, rows), next_page_token=token)

    async def CreateAuthority(
        self, request: pb.CreateAuthorityRequest, context: Any
    ) -> pb.CreateAuthorityResponse:
        """Trust a certificate authority to name drives; BadCertificate, AuthorityExists, ApprovalNeeded.

        Whoever names drives can have every key served to one of his own: that is giving keys out.
        """
        authority = self._registry.check_authority(request.certificate)
        fingerprint = authority.fingerprint.hex()
        summary = f"trust {authority.subject}, SHA-256 {fingerprint}, to name drives that are served"
        act = Act.of("authority", summary, fingerprint)
        consent = await self._consents.require_of_two("CreateAuthority", act)
        changes = self._registry.add_authority(request.certificate)
        (authority,) = (each for each in changes if isinstance(each, Authority))
        what = consent.told(_named(authority))
        await self._journal.commit("CreateAuthority", [*consent.changes, *changes], message=what)
        return pb.CreateAuthorityResponse(authority=_told(authority))

    async def DeleteAuthority(
        self, request: pb.DeleteAuthorityRequest, context: Any
    ) -> pb.DeleteAuthorityResponse:
        """End the trust in an authority at once; UnknownAuthority, BadArgument."""
        fingerprint = sized(request.fingerprint, (32,), "fingerprint")
        changes = self._registry.remove_authority(fingerprint)
        await self._journal.commit("DeleteAuthority", changes, message=f"authority {fingerprint.hex()}")
        return pb.DeleteAuthorityResponse()

    def _checked(self, drive: Drive) -> Drive:
        """Return a drive whose groups exist and whose key it may have, in its stored spelling."""
        serial, groups = normalise_serial(drive.serial), (drive.group, *drive.allowed_groups)
        for group in filter(None, groups):
            self._allocator.find(group)
        if not drive.alias:
            return drive
        key = self._allocator.check_own(drive.alias, serial)
        self._registry.check_unique("alias", key.alias, serial)
        self._allocator.check_bind(key, serial)  # now: what fails later has changed memory
        return replace(drive, alias=key.alias)


def _from_proto(drive: pb.Drive) -> Drive:
    return Drive(
        serial=drive.serial,
        state=DriveState.ACCEPTED,
        create_time_us=0,
        wwnn=sized(drive.wwnn, (0, 8), "wwnn"),
        vendor=drive.vendor.rstrip(" "),
        product=drive.product.rstrip(" "),
        firmware=drive.firmware.rstrip(" "),
        spki_sha256=sized(drive.spki_sha256, (0, 32), "spki_sha256"),
        allowed_groups=tuple(dict.fromkeys(drive.allowed_groups)),
        group=drive.group,
        alias=drive.alias,
        confirm=drive.confirm if drive.HasField("confirm") else True,
        label_mode=chosen(LabelMode, drive.label_mode, "label_mode", LabelMode.FULL),
        library_serial=drive.library_serial,
    )


def _said(drive: pb.Drive) -> Said:
    """Return the serial of an imported entry and what it says beside."""
    entry = _from_proto(drive)
    said = {name: getattr(entry, name) for name in _IMPORTED if getattr(drive, name)}
    said |= {"confirm": drive.confirm} if drive.HasField("confirm") else {}
    return entry.serial, said


def to_proto(drive: Drive) -> pb.Drive:
    """Return a drive as its message."""
    return pb.Drive(
        serial=drive.serial,
        state=pb.DriveState.ValueType(drive.state),
        wwnn=drive.wwnn,
        vendor=drive.vendor,
        product=drive.product,
        firmware=drive.firmware,
        spki_sha256=drive.spki_sha256,
        create_time=stamp(drive.create_time_us),
        last_seen_time=stamp(drive.last_seen_time_us),
        allowed_groups=drive.allowed_groups,
        group=drive.group,
        alias=drive.alias,
        confirm=drive.confirm,
        label_mode=pb.LabelMode.ValueType(drive.label_mode),
        library_serial=drive.library_serial,
    )


def _told(authority: Authority) -> pb.Authority:
    return pb.Authority(
        fingerprint=authority.fingerprint,
        subject=authority.subject,
        certificate=authority.certificate,
        expire_time=stamp(authority.expire_time_us),
        create_time=stamp(authority.create_time_us),
    )


def _refused(key: BlockedKey) -> pb.BlockedKey:
    return pb.BlockedKey(spki_sha256=key.spki_sha256, create_time=stamp(key.create_time_us))


def _named(authority: Authority) -> str:
    return f"authority {authority.fingerprint.hex()}, {authority.subject[:200]}"
