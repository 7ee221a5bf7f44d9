"""Make sessions.json: both sides of whole sessions, played from docs/protocol.md without any serving code.

`python -m tests.vectors.make_sessions` writes the file anew. Private keys are made for it and forgotten; kept
is what a stranger sees on the wire, the data key, and the seed of its OAEP padding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qekm.dkp import names, pages, signed
from qekm.dkp.codes import Code, Fault, good_sense, sense
from qekm.dkp.frame import Frame, MessageType, Tag, build, error_frame, serialize
from tests.vectors.actors import Actor, make_authority
from tests.vectors.oaep import oaep_encrypt

FILE = Path(__file__).with_name("sessions.json")
ABOUT = "DKP/1 sessions for docs/protocol.md, section 13. All keys are throw-away keys made for this file."
WWNN = bytes.fromhex("500308c09e4a1001")
SERIAL = b"001300000392"
ALIAS = "QKM0012345678900000A1"


@dataclass(slots=True)
class Play:
    """One session being played and written down."""

    drive: Actor
    server: Actor
    dsk: rsa.RSAPrivateKey
    random_bytes: Callable[[int], bytes]
    session_id: int = 0
    nonce: bytes = b""
    earlier: bytes = b""
    frames: list[dict[str, str]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def next(self, kind: MessageType, *tlvs: tuple[int, bytes]) -> Frame:
        """Build the next frame."""
        return build(kind, self.session_id, len(self.frames) + 1, tlvs)

    def sign(self, frame: Frame) -> Frame:
        """Sign a frame as the side whose message it is."""
        actor, prefix = (self.server, signed.SERVER) if frame.type & 0x80 else (self.drive, signed.CLIENT)
        return signed.sign_frame(prefix, self.earlier, frame, actor.sig_type, actor.sig_length, actor.sign)

    def say(self, frame: Frame) -> None:
        """Write a frame down."""
        raw = serialize(frame)
        self.earlier += raw
        side = "server" if frame.type & 0x80 else "drive"
        self.frames.append({"from": side, "message": MessageType(frame.type).name, "hex": raw.hex()})

    def notify(self, number: int, *tlvs: tuple[int, bytes]) -> None:
        """Say message 01."""
        drive = ((Tag.DRIVE_SERIAL, SERIAL), (Tag.DRIVE_WWNN, WWNN), (Tag.VENDOR, b"IBM     "))
        more = ((Tag.PRODUCT, b"ULT3580-TD4     "), (Tag.FIRMWARE, b"77BE"), (Tag.VOLSER, b"E01001L4"))
        mount = (Tag.MOUNT_ID, self.random_bytes(16))
        kind = MessageType.DRIVER_ERROR_NOTIFY
        self.say(self.next(kind, *drive, *more, mount, (Tag.SENSE, sense(7, number)), *tlvs))

    def query_dsk(self) -> None:
        """Say messages 82 and 02."""
        self.session_id = int.from_bytes(self.random_bytes(8)) | 1
        challenge = (Tag.CHALLENGE, self.random_bytes(32))
        certificates = ((Tag.CERTIFICATE, der) for der in self.server.chain)
        self.say(self.next(MessageType.QUERY_DSK, challenge, *certificates))
        public = self.dsk.public_key().public_numbers()
        page = pages.public_key_page(public.n, public.e, self.dsk.key_size)
        signature = self.drive.sign(signed.dsk_signed_bytes(SERIAL, 1, page))
        self.nonce = self.random_bytes(32)
        tlvs = [(int(Tag.CERTIFICATE), der) for der in self.drive.chain]
        tlvs.append((Tag.DSK_LIST, signed.join_dsk_list(1, page, self.drive.sig_type, signature)))
        tlvs.append((Tag.RANDOM_NUMBER, pages.random_number_page(self.nonce)))
        self.say(self.sign(self.next(MessageType.QUERY_DSK_REPLY, *tlvs)))

    def query_dki(self, dki: bytes) -> None:
        """Say messages 83 and 03."""
        self.say(self.next(MessageType.QUERY_DKI))
        self.say(self.sign(self.next(MessageType.QUERY_DKI_REPLY, (Tag.DKI, dki))))

    def set_key(self, alias: str) -> None:
        """Say message 84 with a fresh data key."""
        dki, key, seed = names.alias_to_dki(alias), self.random_bytes(32), self.random_bytes(32)
        spki, dcert = self.server.spki_sha256, sha256(self.drive.chain[0]).digest()
        label = pages.build_label(WWNN, spki, self.session_id, len(self.frames) + 1, self.nonce, dki, dcert)
        public = self.dsk.public_key().public_numbers()
        wrapped = oaep_encrypt(key, label, seed, public.n, public.e)
        parameter_set = 0x0000 if self.dsk.key_size == 2048 else 0x8001
        page = pages.build_wrapped_page(True, 2, 3, parameter_set, label, wrapped, dki)
        self.facts |= {"alias": alias, "dki": dki.hex(), "data_key": key.hex()}
        self.facts |= {"label": label.hex(), "oaep_seed": seed.hex()}
        tlvs = ((Tag.KEY_ALIAS, alias.encode()), (Tag.SET_DATA_ENCRYPTION, page))
        self.say(self.sign(self.next(MessageType.SET_KEY, *tlvs)))

    def confirm(self) -> None:
        """Say messages 04 and 86."""
        status = (Tag.SENSE, good_sense())
        blank = self.sign(self.next(MessageType.KEY_STATUS, status, (Tag.KEY_CONFIRMATION, bytes(32))))
        covered = signed.confirmation_bytes(self.earlier, blank)
        proof = signed.confirmation(bytes.fromhex(self.facts["data_key"]), self.session_id, covered)
        self.say(self.sign(self.next(MessageType.KEY_STATUS, status, (Tag.KEY_CONFIRMATION, proof))))
        self.say(self.sign(self.next(MessageType.COMPLETE)))


def _creation(play: Play) -> None:
    play.notify(0xEF11)
    play.query_dsk()
    play.set_key(ALIAS)
    play.confirm()


def _translation(play: Play) -> None:
    play.notify(0xEF13)
    play.query_dsk()
    play.query_dki(names.alias_to_dki(ALIAS))
    play.set_key(ALIAS)
    play.confirm()


def _acquisition(play: Play) -> None:
    play.notify(0xEF10, (Tag.DKI, names.alias_to_dki("archive7")))
    play.query_dsk()
    play.set_key("archive7")
    play.confirm()


def _error(play: Play) -> None:
    dki = names.alias_to_dki("QKM00FFFFFFFFFF000001")
    play.notify(0xEF13, (Tag.NEXT_BLOCK_ENCRYPTION_STATUS, pages.next_block_status_page(6, dki)))
    play.query_dsk()
    play.say(error_frame(Fault(Code.EE31, "no key has this DKi"), play.session_id, len(play.frames) + 1))


def make_sessions(random_bytes: Callable[[int], bytes]) -> tuple[dict[str, Any], list[Play]]:
    """Return what the file holds, and the plays, whose private keys a test may need."""
    servers, drives = make_authority("Throw-away server CA"), make_authority("Throw-away drive CA")
    server = servers.server("Q-EKM server")
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    rows = (
        ("creation", "dAK RSA-2048, DSK RSA-2048", rsa_key, 2048, _creation),
        ("translation", "dAK P-256, DSK RSA-2048, DKi asked for by QUERY_DKI", p256, 2048, _translation),
        ("acquisition", "dAK P-384, DSK RSA-3072, DKi named in 0130", p384, 3072, _acquisition),
        ("error", "dAK P-256, A-KAD named in 2021 of a key that there is not", p256, 2048, _error),
    )
    plays, sessions = [], []
    for name, about, key, bits, perform in rows:
        dsk = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        play = Play(drives.drive(SERIAL.decode(), key), server, dsk, random_bytes)
        perform(play)
        plays.append(play)
        sessions.append({"name": name, "about": about, **play.facts, "frames": play.frames})
    top = {"about": ABOUT, "anchor": server.spki_sha256.hex()}
    top |= {"server_authority": servers.pem, "drive_authority": drives.pem}
    return {**top, "sessions": sessions}, plays


if __name__ == "__main__":
    FILE.write_text(json.dumps(make_sessions(os.urandom)[0], indent=1) + "\n")
