"""The fake of the sharing service: what is sent is kept, and some keys have a fate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from qekm.errors import KeystoreLocked, PartnerExists, QekmError, UnknownPartner
from qekm.v1 import sharing_pb2 as pb

from .parts import ALIAS, moment, page_of

PEM = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
DATA = bytes(range(256)) * 600  # of an export: more than two messages


def material(alias: str) -> bytes:
    """Return the material of the key of an alias here."""
    return hashlib.sha256(alias.lower().encode()).digest()


class FakeSharing:
    """Partners, an export that was approved, and imports."""

    def __init__(self, keystore: Any) -> None:
        self._keystore = keystore
        self.partners: dict[str, pb.Partner] = {}
        self.created: list[pb.CreatePartnerRequest] = []
        self.exports: list[pb.ExportKeysRequest] = []
        self.imports: list[list[pb.ImportKeysRequest]] = []
        self.fates: dict[str, tuple[int, str]] = {}  # by alias; any other is imported
        self.sender = ""
        self.refusal: QekmError | None = None

    def GetCertificates(self, request: Any) -> Any:
        """Return something like certificates."""
        return pb.GetCertificatesResponse(pem=PEM, fingerprint=bytes(range(32)))

    def ListPartners(self, request: Any) -> Any:
        """Answer a page of partners."""
        partners, token = page_of(list(self.partners.values()), request)
        return pb.ListPartnersResponse(partners=partners, next_page_token=token)

    def CreatePartner(self, request: Any) -> Any:
        """Take a partner in."""
        self.created.append(request)
        if request.name in self.partners:
            raise PartnerExists(f"there is a partner {request.name!r} already")
        partner = pb.Partner(
            name=request.name,
            subject="CN=Keys for Acme",
            fingerprint=request.fingerprint,
            signs=request.pem.count("BEGIN") > 1,
            expire_time=moment(99),
            create_time=moment(),
        )
        self.partners[request.name] = partner
        return pb.CreatePartnerResponse(partner=partner)

    def DeletePartner(self, request: Any) -> Any:
        """Remove a partner."""
        if self.partners.pop(request.name, None) is None:
            raise UnknownPartner(f"there is no partner {request.name!r}")
        return pb.DeletePartnerResponse()

    def ExportKeys(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Give out what is asked for; nothing before the first answer is looked at, as on a wire."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        self._check("ExportKeys")
        self.exports.append(request)
        if request.partner:
            for start in range(0, len(DATA), 65_536):
                yield pb.ExportKeysResponse(data=DATA[start : start + 65_536])
            return
        for alias in request.aliases or [ALIAS.format(1), ALIAS.format(6)]:
            dki = alias[:3].encode() + bytes.fromhex(alias[3:])
            yield pb.ExportKeysResponse(keys=[pb.ClearKey(alias=alias, dki=dki, material=material(alias))])

    def ImportKeys(self, requests: Iterator[Any], timeout: float | None = None) -> Any:
        """Take keys in, in clear or one of a file."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        self._check("ImportKeys")
        parts = list(requests)
        self.imports.append(parts)
        aliases = [key.alias for part in parts for key in part.keys]
        aliases += [ALIAS.format(9)] if any(part.data for part in parts) else []
        keys = [self._fate(alias) for alias in aliases]
        return pb.ImportKeysResponse(keys=keys, sender=self.sender)

    def _fate(self, alias: str) -> pb.ImportedKey:
        outcome, message = self.fates.get(alias, (int(pb.IMPORT_OUTCOME_IMPORTED), ""))
        return pb.ImportedKey(alias=alias, outcome=pb.ImportOutcome.ValueType(outcome), message=message)

    def _check(self, act: str) -> None:
        if self._keystore.locked:
            raise KeystoreLocked(f"{act} needs a slot of the keystore opened first", act=act)
        if self.refusal:
            raise self.refusal
