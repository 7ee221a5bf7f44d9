"""A drive in memory: it speaks the protocol frame by frame, honestly unless a test alters what it says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from qekm.dkp.codes import good_sense, sense
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame, build, serialize
from qekm.dkp.names import alias_to_dki
from qekm.dkp.pages import (
    SetDataEncryption,
    build_label,
    parse_set_data_encryption,
    public_key_page,
    random_number_page,
    split_wrapped_key,
)
from qekm.dkp.signed import (
    CLIENT,
    SERVER,
    confirmation,
    confirmation_bytes,
    dsk_signed_bytes,
    join_dsk_list,
    sign_frame,
    signature_of,
    signed_bytes,
)
from qekm.signing import FrameSigner, Verifier
from tests.fakes.drive_authority import DriveAuthority

CREATE, TRANSLATE, ACQUIRE, OPTIONAL, NO_OPERATION = 0xEF11, 0xEF13, 0xEF10, 0xEF1A, 0xEFC0
Tlv = tuple[int, bytes]


@cache
def session_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a drive session key; making one takes a tenth of a second, so tests share them."""
    return rsa.generate_private_key(65537, bits)


def verifier_of(certificate: bytes) -> Verifier:
    """Return what verifies with a DER certificate's key."""
    return Verifier(x509.load_der_x509_certificate(certificate).public_key())


class FakeDrive:
    """A drive's identity; `session` begins a conversation."""

    def __init__(
        self,
        authority: DriveAuthority,
        serial: str = "001300000392",
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
        wwnn: bytes | None = None,
        bits: int = 2048,
    ) -> None:
        self.serial = serial
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.signer = FrameSigner(self.key)
        self.chain = (*authority.name(serial, self.key.public_key()), *authority.intermediates)
        self.wwnn = wwnn or hashlib.sha256(serial.encode()).digest()[:8]
        self.product = "ULT3580-TD4"
        self.dsk = session_key(0, bits)

    def session(self, **said: Any) -> DriveSession:
        """Begin a conversation; see DriveSession for what may be said in message 01."""
        return DriveSession(self, **said)


class DriveSession:
    """One conversation: each method returns the next frame of the drive, or takes one of the server."""

    def __init__(
        self,
        drive: FakeDrive,
        ask: int = CREATE,
        volser: str = "E01001L4",
        mount_id: bytes = b"",
        dki: bytes = b"",
        akad: bytes = b"",
    ) -> None:
        self.drive, self.ask = drive, ask
        self.volser, self.mount_id = volser, mount_id
        self.dki, self.akad = dki, akad
        self.nonce = os.urandom(32)
        self.earlier = b""
        self.session_id = self.sequence = 0
        # From SET_KEY on.
        self.data_key = b""
        self.alias = ""
        self.page: SetDataEncryption | None = None

    def notify(self) -> Frame:
        """Message 01."""
        drive = self.drive
        tlvs: list[Tlv] = [
            (Tag.DRIVE_SERIAL, drive.serial.encode()),
            (Tag.DRIVE_WWNN, drive.wwnn),
            (Tag.VENDOR, b"IBM     "),
            (Tag.PRODUCT, drive.product.ljust(16).encode()),
            (Tag.FIRMWARE, b"C7BE"),
            (Tag.SENSE, sense(7, self.ask)),
        ]
        for tag, value in (
            (Tag.VOLSER, self.volser.encode()),
            (Tag.MOUNT_ID, self.mount_id),
            (Tag.DKI, self.dki),
            (Tag.NEXT_BLOCK_ENCRYPTION_STATUS, self.akad and _status_page(self.akad)),
        ):
            if value:
                tlvs.append((tag, value))
        return self.sent(build(MessageType.DRIVER_ERROR_NOTIFY, 0, 1, tlvs))

    def sent(self, frame: Frame) -> Frame:
        """Note a frame, of either side, as part of the session."""
        self.earlier += serialize(frame)
        self.sequence = frame.sequence
        return frame

    def take(self, frame: Frame) -> None:
        """Take a frame of the server: its signature is checked, its key is unwrapped."""
        if frame.type == MessageType.QUERY_DSK:
            self.session_id = frame.session_id
            self.server = verifier_of(frame.all(Tag.CERTIFICATE)[0])
        assert frame.session_id == self.session_id
        assert frame.sequence == self.sequence + 1
        if frame.type not in (MessageType.QUERY_DSK, MessageType.QUERY_DKI):
            kind, signature = signature_of(frame)
            assert self.server.verify(kind, signature, signed_bytes(SERVER, self.earlier, frame))
        if frame.type == MessageType.SET_KEY:
            self._unwrap(frame)
        self.sent(frame)

    def _unwrap(self, frame: Frame) -> None:
        self.alias = (frame.get(Tag.KEY_ALIAS) or b"").decode()
        self.page = page = parse_set_data_encryption(frame.get(Tag.SET_DATA_ENCRYPTION) or b"")
        _, self.label, wrapped = split_wrapped_key(page.key)
        assert alias_to_dki(self.alias) == page.dki
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), self.label)
        self.data_key = self.drive.dsk.decrypt(wrapped, oaep)
        self.full_label = build_label(
            self.drive.wwnn,
            self.server.spki_sha256,
            self.session_id,
            frame.sequence,
            self.nonce,
            page.dki,
            hashlib.sha256(self.drive.chain[0]).digest(),
        )

    def reply_dsk(
        self,
        chain: Sequence[bytes] = (),
        page: bytes = b"",
        dsk_list: bytes | None = None,
        dsk_signer: FrameSigner | None = None,
        signer: FrameSigner | None = None,
    ) -> Frame:
        """Message 02; what is given stands in place of the honest part."""
        drive = self.drive
        numbers = drive.dsk.public_key().public_numbers()
        page = page or public_key_page(numbers.n, numbers.e, drive.dsk.key_size)
        kind, signature = (dsk_signer or drive.signer).sign(dsk_signed_bytes(drive.serial.encode(), 7, page))
        honest = join_dsk_list(7, page, kind, signature)
        tlvs: list[Tlv] = [(Tag.CERTIFICATE, der) for der in chain or drive.chain]
        tlvs.append((Tag.DSK_LIST, honest if dsk_list is None else dsk_list))
        tlvs.append((Tag.RANDOM_NUMBER, random_number_page(self.nonce)))
        return self.signed(MessageType.QUERY_DSK_REPLY, tlvs, signer or drive.signer)

    def reply_dki(self, dki: bytes) -> Frame:
        """Message 03."""
        return self.signed(MessageType.QUERY_DKI_REPLY, [(Tag.DKI, dki)], self.drive.signer)

    def status(self, installed: bool = True, confirm: bool | None = None, key: bytes = b"") -> Frame:
        """Message 04, with a confirmation if there is a key to confirm."""
        tlvs: list[Tlv] = [(Tag.SENSE, good_sense() if installed else sense(5, 0x740C))]
        if confirm if confirm is not None else installed and bool(self.data_key):
            blank = (*tlvs, (Tag.KEY_CONFIRMATION, bytes(32)), (Tag.SIGNATURE, self._blank()))
            frame = build(MessageType.KEY_STATUS, self.session_id, self.sequence + 1, blank)
            covered = confirmation_bytes(self.earlier, frame)
            value = confirmation(key or self.data_key, self.session_id, covered)
            tlvs.append((Tag.KEY_CONFIRMATION, value))
        return self.signed(MessageType.KEY_STATUS, tlvs, self.drive.signer)

    def _blank(self) -> bytes:
        signer = self.drive.signer
        return signer.type.to_bytes(2) + signer.length.to_bytes(2) + bytes(signer.length)

    def signed(self, kind: int, tlvs: list[Tlv], signer: FrameSigner) -> Frame:
        """Return a signed frame, the next of this session, and note it as sent."""
        unsigned = build(kind, self.session_id, self.sequence + 1, tlvs)
        return self.sent(
            sign_frame(
                CLIENT, self.earlier, unsigned, signer.type, signer.length, lambda text: signer.sign(text)[1]
            )
        )


def _status_page(akad: bytes) -> bytes:
    """Return page 0021h of a block that is encrypted under a key that the drive has not."""
    return b"\x00\x21\x00\x1c" + bytes(8) + b"\x06\x01\x00\x00" + b"\x01\x00\x00\x0c" + akad
