"""One session, with every check of section 11 of docs/protocol.md."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import secrets
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from frames import (
    ANSWER,
    COMPLETE,
    ERROR,
    QUERY_DKI,
    QUERY_DSK,
    SET_KEY,
    Received,
    Tlv,
    UnbelievedError,
    believe,
    build,
    parse,
    receive,
)

CREATE, TRANSLATE = b"\xef\x11", b"\xef\x13"
# Twins of errors after which another server may do better; after the second, this one may not (section 6).
TRY_AGAIN, NOT_HERE = b"\x74\x62", b"\x74\x63"
SHA256 = hashes.SHA256()
MGF1 = padding.MGF1(SHA256)
ECDSA = {3: (ec.ECDSA(hashes.SHA384()),), 4: (ec.ECDSA(SHA256),)}
SUITES: dict[int, tuple[Any, ...]] = {2: (padding.PSS(MGF1, 32), SHA256), **ECDSA}


class RefusedError(OSError):
    """An ERROR after which another server is asked: its text and its twin."""


def type_of(key: Any) -> int:
    return 2 if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else {256: 4, 384: 3}[key.key_size]


def sign(key: Any, message: bytes) -> bytes:
    kind = type_of(key)
    if kind == 2:
        signature = key.sign(message, *SUITES[kind])
    else:
        pair = decode_dss_signature(key.sign(message, *SUITES[kind]))
        signature = b"".join(number.to_bytes(key.key_size // 8, "big") for number in pair)
    return struct.pack(">HH", kind, len(signature)) + bytes(signature)


def verify(key: Any, value: bytes, message: bytes) -> None:
    kind, length = struct.unpack_from(">HH", value)
    signature, half = value[4:], length // 2
    believe(kind == type_of(key) and length == len(signature), "a signature of another type")
    if kind != 2:
        believe(length == key.key_size // 4, "a signature of another length")
        pair = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        signature = encode_dss_signature(*pair)
    try:
        key.verify(signature, message, *SUITES[kind])
    except InvalidSignature:
        raise UnbelievedError("a wrong signature") from None


def dki_of(alias: str) -> bytes:
    long = len(alias) == 21
    return alias[:3].encode() + bytes.fromhex(alias[3:]) if long else alias.encode().ljust(12, b"\0")


class Session:
    """One session over one connection."""

    def __init__(self, link: socket.socket, options: argparse.Namespace, dki: bytes) -> None:
        self.link, self.options, self.dki = link, options, dki  # without a DKi: for a new tape
        self.key = load_pem_private_key(Path(options.key).read_bytes(), None)
        chain = x509.load_pem_x509_certificates(Path(options.cert).read_bytes())
        self.chain = [certificate.public_bytes(Encoding.DER) for certificate in chain]
        self.dsk = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.nonce = secrets.token_bytes(32)
        self.earlier, self.session, self.sequence = b"", 0, 1

    def run(self, mount_id: bytes) -> dict[str, str]:
        """Play the session until the key is installed and reported."""
        answer = self.exchange(self.notify(mount_id), QUERY_DSK)
        self.session, self.server = answer.session, self.believed_key(answer.get(0x0121))
        late = self.options.late and self.dki
        answer = self.exchange(self.signed(0x02, self.dsk_reply()), QUERY_DKI if late else SET_KEY)
        if late:
            answer = self.exchange(self.signed(0x03, [(0x0130, self.dki)]), SET_KEY)
        alias, dki, key = self.unwrap(answer)
        facts = {"alias": alias, "dki": dki.hex(), "key_sha256": hashlib.sha256(key).hexdigest()}
        with suppress(OSError, UnbelievedError):  # whatever comes now, the key stays
            facts["end"] = f"{self.exchange(self.status(key), COMPLETE).kind:02X}"
        return facts

    def exchange(self, raw: bytes, due: int) -> Received:
        """Send a frame and take the answer to it, which must be of the type that is due."""
        self.earlier += raw
        self.link.settimeout(ANSWER)
        self.link.sendall(raw)
        answer = parse(receive(self.link))
        if answer.kind == ERROR:
            text = f"refused: {answer.get(0x0170)[12:14].hex()} {answer.get(0x0180).decode()}"
            twin = answer.get(0x0171)[12:14]
            believe(twin in (TRY_AGAIN, NOT_HERE), text)
            raise RefusedError(text, twin)
        believe((answer.kind, answer.sequence) == (due, self.sequence + 1), "another message than is due")
        believe(answer.session == (self.session or answer.session) != 0, "a wrong session id")
        value = answer.get(0x0190)
        if value:
            verify(self.server, value, b"QEKM MSG 1S" + self.earlier + answer.raw[: 4 - len(value)])
        self.earlier += answer.raw
        self.sequence += 2
        return answer

    def signed(self, kind: int, tlvs: list[Tlv]) -> bytes:
        """Return a signed frame; it is laid out with another signature first, for lengths are covered."""
        sample = sign(self.key, b"")
        raw = build(kind, self.session, self.sequence, [*tlvs, (0x0190, sample)])[: 4 - len(sample)]
        return raw + sign(self.key, b"QEKM MSG 1C" + self.earlier + raw)[4:]

    def notify(self, mount_id: bytes) -> bytes:
        """Return message 01."""
        sense = bytes.fromhex("700007000000000a00000000") + (TRANSLATE if self.dki else CREATE) + bytes(4)
        tlvs = [(0x0101, self.options.serial.encode()), (0x0102, self.options.wwnn)]
        tlvs += [(0x0103, b"IBM     "), (0x0104, b"ULT3580-TD4     "), (0x0170, sense)]
        tlvs += [(0x0106, self.options.volser.encode()), (0x010A, mount_id)]
        if self.dki and not self.options.late:  # page 0021h: an encrypted block, and the key is not there
            tlvs.append((0x2021, bytes.fromhex("0021001c0000000000000000060100000101000c") + self.dki))
        return build(0x01, 0, 1, tlvs)

    def believed_key(self, leaf: bytes) -> Any:
        """Return the key of the server's certificate, if it is the one that the anchor names."""
        certificate = x509.load_der_x509_certificate(leaf)
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        believe(hashlib.sha256(spki).digest() == self.options.anchor, "the server's key is not the anchor's")
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        server, client = ExtendedKeyUsageOID.SERVER_AUTH in usage, ExtendedKeyUsageOID.CLIENT_AUTH in usage
        believe(server and not client, "the certificate is not a server's")
        return certificate.public_key()

    def dsk_reply(self) -> list[Tlv]:
        """Return what message 02 says."""
        public, serial = self.dsk.public_key().public_numbers(), self.options.serial.encode()
        page = bytes.fromhex("0031020a00000000000000000200")
        page += public.n.to_bytes(256, "big") + public.e.to_bytes(256, "big")
        signature = sign(self.key, b"QEKM DSK 1" + bytes((len(serial),)) + serial + b"\0\0\0\1" + page)
        dsk_list = b"\x01\0\0\0\1" + len(page).to_bytes(2, "big") + page + signature
        certificates: list[Tlv] = [(0x0121, der) for der in self.chain]
        return [*certificates, (0x0122, dsk_list), (0x2030, b"\x00\x30\x00\x20" + self.nonce)]

    def unwrap(self, answer: Received) -> tuple[str, bytes, bytes]:
        """Return alias, DKi and data key of message 84, after every check of section 11."""
        page, alias = answer.get(0x2010), answer.get(0x0109).decode()
        modes, wrapped, dki = page[6:8], page[-274:-18], page[-12:]
        believe(dki_of(alias) == dki and self.dki in (b"", dki), "another key than the one asked for")
        believe(modes == b"\x02\x03" or (bool(self.dki) and modes == b"\x00\x02"), "modes nobody asked for")
        about = struct.pack(">QI", self.session, answer.sequence) + self.nonce
        parts = {0: self.options.wwnn, 1: self.options.anchor, 2: about, 3: dki, 4: b"\x01\x00"}
        parts[0x80] = hashlib.sha256(self.chain[0]).digest()
        label = b"".join(struct.pack(">BBH", kind, 0, len(data)) + data for kind, data in parts.items())
        key_field = struct.pack(">HH", 0, len(label)) + label + b"\x01\x00" + wrapped + b"\0\0"
        head = struct.pack(">HHB", 0x0010, len(page) - 4, 0x40) + page[5:6] + modes
        head += b"\x01\x02" + bytes(8) + len(key_field).to_bytes(2, "big")
        expected = head + key_field + b"\x01\0\0\x0c" + dki
        believe(page == expected and page[5] in (0, 4), "page 0010h or its label is for something else")
        key = self.dsk.decrypt(wrapped, padding.OAEP(MGF1, SHA256, label))
        believe(len(key) == 32, "a data key has 32 bytes")
        return alias, dki, key

    def status(self, key: bytes) -> bytes:
        """Return message 04: installed, and here is the proof."""
        sense = (0x0170, bytes.fromhex("700000000000000a") + bytes(10))
        covered = self.earlier + self.signed(0x04, [sense, (0x0191, bytes(32))])[: 24 + 4 + 18]
        extracted = hmac.digest(self.session.to_bytes(8, "big"), key, "sha256")
        derived = hmac.digest(extracted, b"QEKM CONFIRM 1C\x01", "sha256")
        return self.signed(0x04, [sense, (0x0191, hmac.digest(derived, covered, "sha256"))])
