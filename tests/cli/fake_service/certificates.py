"""The fake of the certificates service."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from qekm.errors import QekmError, UnknownCertificate
from qekm.v1 import certificates_pb2

from .parts import moment, page_of


class FakeCertificates:
    """An authority that signs nothing and writes everything down."""

    def __init__(self) -> None:
        self.certificates = [
            certificates_pb2.Certificate(
                serial=f"{n:040x}",
                role=certificates_pb2.ROLE_OPERATOR,
                name=f"person{n}",
                start_time=moment(-10),
                expire_time=Timestamp(seconds=4_000_000_000 if n > 1 else 1_000_000_000),
                authority=bytes(32),
            )
            for n in (1, 2, 3)
        ]
        self.certificates[2].revoke_time.CopyFrom(moment())
        self.requests: list[Any] = []
        self.refusal: QekmError | None = None
        self.rolling = False
        self.renewals: list[certificates_pb2.Certificate] = []

    def ListCertificates(self, request: Any) -> Any:
        """Answer a page of certificates."""
        found, token = page_of(self.certificates, request)
        return certificates_pb2.ListCertificatesResponse(certificates=found, next_page_token=token)

    def IssueCertificate(self, request: Any) -> Any:
        """Pretend to sign."""
        if self.refusal:
            raise self.refusal
        self.requests.append(request)
        made = certificates_pb2.Certificate(
            serial="ab12", role=request.role, name=request.name, expire_time=moment(1)
        )
        return certificates_pb2.IssueCertificateResponse(
            certificate=made, pem=b"LEAF\n", trust_pem=b"TRUST\n"
        )

    def RenewCertificate(self, request: Any) -> Any:
        """Pretend to sign again."""
        self.requests.append(request)
        made = certificates_pb2.Certificate(serial="ab13", name="same", expire_time=moment(2))
        return certificates_pb2.RenewCertificateResponse(
            certificate=made, pem=b"NEW\n", trust_pem=b"TRUST2\n"
        )

    def RevokeCertificate(self, request: Any) -> Any:
        """Note the reason."""
        self.requests.append(request)
        for one in self.certificates:
            if int(one.serial, 16) == int(request.serial, 16):
                also = [] if request.only_this else self.renewals
                return certificates_pb2.RevokeCertificateResponse(certificate=one, also_revoked=also)
        raise UnknownCertificate(f"no certificate has the serial {request.serial}")

    def GetTrust(self, request: Any) -> Any:
        """Tell the authorities."""
        return certificates_pb2.GetTrustResponse(trust_pem=b"TRUST\n", rolling=self.rolling, old_count=3)

    def StartRollover(self, request: Any) -> Any:
        """Two authorities from now on."""
        self.rolling = True
        return certificates_pb2.StartRolloverResponse(trust_pem=b"BOTH\n")

    def FinishRollover(self, request: Any) -> Any:
        """One authority from now on."""
        self.requests.append(request)
        return certificates_pb2.FinishRolloverResponse(trust_pem=b"ONE\n")
