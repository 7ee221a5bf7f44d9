"""A key manager in memory, played from the protocol page: honest, unless a test says what it does wrong."""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm.dkp.codes import Ask, Code, Fault, ask_of, sense_key_of
from qekm.dkp.frame import Frame, MessageType, Reader, Tag, build, error_frame, parse, serialize
from qekm.dkp.messages import check_flags, check_missing, named_dki
from qekm.dkp.names import alias_to_dki, dki_to_alias
from qekm.dkp.pages import build_label, build_wrapped_page, parse_public_key_page, parse_random_number_page
from qekm.dkp.signed import (
    CLIENT,
    SERVER,
    confirmation,
    confirmation_bytes,
    dsk_signed_bytes,
    sign_frame,
    signature_of,
    signed_bytes,
    split_dsk_list,
)
from qekm_gateway.simulator.signatures import Signer, Verify, verifier

SHA256 = hashes.SHA256()


def certify(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    usage: x509.ObjectIdentifier | None,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    days: tuple[int, int] = (-1, 30),
    path_length: int = 0,
) -> x509.Certificate:
    """Make a certificate: a CA if usage is None, else a leaf of this one extended key usage."""
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA" if usage is None else "leaf")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[0].subject if issuer else name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(
            x509.BasicConstraints(usage is None, path_length if usage is None else None), critical=True
        )
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(issuer[1] if issuer else private, SHA256)


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """Hash a certificate's public key as an anchor does."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).digest()


@dataclass
class Lies:
    """What the played server does wrong; each takes what is right and returns what is sent."""

    label: Callable[[bytes], bytes] = lambda label: label
    modes: tuple[int, int] | None = None
    alias: Callable[[str], str] = lambda alias: alias
    dki: Callable[[bytes], bytes] = lambda dki: dki
    wrapped: Callable[[bytes], bytes] = lambda wrapped: wrapped
    before_signing: Callable[[Frame], Frame] = lambda frame: frame
    sent: Callable[[bytes], bytes | None] = lambda raw: raw  # None: close without a frame


@dataclass
class KeyManager:
    """Keys by alias, its own certificate chain, what it was told, and how it lies."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    ca_private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    keys: dict[str, bytes] = field(default_factory=dict)
    given: dict[bytes, str] = field(default_factory=dict)  # mount id -> alias
    confirmed: list[str] = field(default_factory=list)
    notifies: list[Frame] = field(default_factory=list)
    statuses: list[bytes] = field(default_factory=list)
    refuse: Code | None = None  # answers every message 01 with this error
    no_key: bool = False
    lies: Lies = field(default_factory=Lies)

    def __post_init__(self) -> None:
        self.ca = certify(self.ca_private, None)
        self.certificate = certify(
            self.private, ExtendedKeyUsageOID.SERVER_AUTH, issuer=(self.ca, self.ca_private)
        )
        self.chain: tuple[bytes, ...] = (self.certificate.public_bytes(Encoding.DER),)
        self.signer = Signer(self.private)

    @property
    def pin(self) -> bytes:
        """The anchor that names this server's key."""
        return spki_sha256(self.certificate)

    def choose(self, ask: Ask, mount_id: bytes, dki: bytes | None) -> str:
        """Return the alias for an errand; a retry of a mount gets the same one."""
        if dki is not None and ask is not Ask.CREATE:
            alias = dki_to_alias(dki)
            if alias not in self.keys:
                raise Fault(Code.EE31, "no such key")
            return alias
        if mount_id not in self.given:
            alias = f"QKM00ABCDEF0123{len(self.keys) + 1:06X}"
            self.keys[alias] = os.urandom(32)
            self.given[mount_id or os.urandom(16)] = alias
            return alias
        return self.given[mount_id]

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Serve on a free port of 127.0.0.1; yields the port."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader, played = Reader(), Played(self)
        with connection:
            while data := connection.recv(65536):
                reader.feed(data)
                while (raw := reader.next_frame()) is not None:
                    answer = played.answer(raw)
                    if answer is None:
                        return
                    connection.sendall(answer)


class Played:
    """The server's side of one connection, sans I/O: a frame in, a frame out, None to close."""

    def __init__(self, server: KeyManager) -> None:
        self._server = server
        self._reset()

    def _reset(self) -> None:
        self._earlier, self._session_id, self._sequence = b"", 0, 0
        self._notify: Frame | None = None
        self._reply: Frame | None = None
        self._verify: Verify | None = None
        self._key: tuple[str, bytes] | None = None

    def answer(self, raw: bytes) -> bytes | None:
        """Take a client's frame."""
        try:
            frame = parse(raw)
            check_missing(frame)
            check_flags(frame)
            if frame.sequence != (1 if frame.type == MessageType.PING else self._sequence + 1):
                raise Fault(Code.EE2D, "sequence")
            if frame.session_id != self._session_id:
                raise Fault(Code.EE2D, "session")
            if self._verify is not None:
                self._check_signature(frame, self._verify)
            answer = self._decide(frame, raw)
        except Fault as fault:
            answer = error_frame(fault, self._session_id, self._sequence + 2)
        return self._server.lies.sent(self._finish(raw, answer))

    def _finish(self, raw: bytes, answer: Frame) -> bytes:
        earlier = self._earlier + raw
        if answer.type in (MessageType.SET_KEY, MessageType.NO_KEY, MessageType.COMPLETE) and self._reply:
            signer = self._server.signer
            answer = self._server.lies.before_signing(answer)
            answer = sign_frame(SERVER, earlier, answer, signer.type, signer.length, signer.sign)
        serialized = serialize(answer)
        self._earlier, self._sequence = earlier + serialized, answer.sequence
        if answer.type in (MessageType.COMPLETE, MessageType.ERROR, MessageType.PONG):
            self._reset()
        return serialized

    def _decide(self, frame: Frame, raw: bytes) -> Frame:
        if frame.type == MessageType.PING:
            return build(MessageType.PONG, 0, 2, ())
        if frame.type == MessageType.DRIVER_ERROR_NOTIFY and self._notify is None:
            return self._on_notify(frame)
        if frame.type == MessageType.QUERY_DSK_REPLY and self._notify and self._reply is None:
            return self._on_dsk(frame, raw)
        if frame.type == MessageType.QUERY_DKI_REPLY and self._reply and self._key is None:
            return self._set_key(frame, frame.get(Tag.DKI), raw)
        if frame.type == MessageType.KEY_STATUS and self._reply:
            return self._on_status(frame)
        raise Fault(Code.EE2D, "not now")

    def _on_notify(self, frame: Frame) -> Frame:
        self._server.notifies.append(frame)
        ask = ask_of(frame.get(Tag.SENSE) or b"")
        if self._server.refuse is not None:
            raise Fault(self._server.refuse, "played refusal")
        if ask is None:
            raise Fault(Code.EE02)
        if ask is Ask.NO_OPERATION:
            return build(MessageType.COMPLETE, 0, 2, ())
        self._notify = frame
        self._session_id = int.from_bytes(os.urandom(8)) or 1
        tlvs = [
            (Tag.CHALLENGE, os.urandom(32)),
            *((Tag.CERTIFICATE, der) for der in self._server.chain),
        ]
        return build(MessageType.QUERY_DSK, self._session_id, 2, tlvs)

    def _on_dsk(self, frame: Frame, raw: bytes) -> Frame:
        assert self._notify is not None
        certificate = x509.load_der_x509_certificate(frame.all(Tag.CERTIFICATE)[0])
        verify = verifier(certificate.public_key())
        _, page, kind, signature = split_dsk_list(frame.get(Tag.DSK_LIST) or b"")
        serial = self._notify.get(Tag.DRIVE_SERIAL) or b""
        dsk_serial = int.from_bytes((frame.get(Tag.DSK_LIST) or b"")[1:5])
        if not verify(kind, signature, dsk_signed_bytes(serial, dsk_serial, page)):
            raise Fault(Code.EE2B, "DSK signature")
        self._check_signature(frame, verify)
        self._verify, self._reply = verify, frame
        if self._ask is Ask.TRANSLATE and named_dki(self._notify) is None:
            return build(MessageType.QUERY_DKI, self._session_id, 4, ())
        return self._set_key(frame, named_dki(self._notify), raw)

    @property
    def _ask(self) -> Ask | None:
        return ask_of((self._notify.get(Tag.SENSE) if self._notify else None) or b"")

    def _set_key(self, frame: Frame, dki: bytes | None, raw: bytes) -> Frame:
        assert self._notify is not None
        assert self._reply is not None
        server, lies, ask = self._server, self._server.lies, self._ask
        assert ask is not None
        sequence = frame.sequence + 1
        if server.no_key and ask is Ask.OPTIONAL:
            return build(MessageType.NO_KEY, self._session_id, sequence, ())
        alias = server.choose(ask, self._notify.get(Tag.MOUNT_ID) or b"", dki)
        dki = alias_to_dki(alias)
        label = lies.label(
            build_label(
                self._notify.get(Tag.DRIVE_WWNN) or b"",
                server.pin,
                self._session_id,
                sequence,
                parse_random_number_page(self._reply.get(Tag.RANDOM_NUMBER) or b""),
                dki,
                sha256(self._reply.all(Tag.CERTIFICATE)[0]).digest(),
            )
        )
        _, page, _, _ = split_dsk_list(self._reply.get(Tag.DSK_LIST) or b"")
        _, modulus, exponent = parse_public_key_page(page)
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        wrapped = public.encrypt(server.keys[alias], padding.OAEP(padding.MGF1(SHA256), SHA256, label))
        modes = lies.modes or (2, 3)
        page = build_wrapped_page(
            self._notify.get(Tag.VOLSER) is not None,
            *modes,
            0,
            label,
            lies.wrapped(wrapped),
            lies.dki(dki),
        )
        self._key = (alias, server.keys[alias])
        tlvs = [(Tag.KEY_ALIAS, lies.alias(alias).encode()), (Tag.SET_DATA_ENCRYPTION, page)]
        return build(MessageType.SET_KEY, self._session_id, sequence, tlvs)

    def _on_status(self, frame: Frame) -> Frame:
        status = frame.get(Tag.SENSE) or b""
        self._server.statuses.append(status)
        if self._key is not None and sense_key_of(status) == 0:
            alias, material = self._key
            proof = confirmation(material, self._session_id, confirmation_bytes(self._earlier, frame))
            if proof != frame.get(Tag.KEY_CONFIRMATION):
                raise Fault(Code.EE29, "confirmation")
            self._server.confirmed.append(alias)
        return build(MessageType.COMPLETE, self._session_id, frame.sequence + 1, ())

    def _check_signature(self, frame: Frame, verify: Verify) -> None:
        kind, signature = signature_of(frame)
        if not verify(kind, signature, signed_bytes(CLIENT, self._earlier, frame)):
            raise Fault(Code.EE29, "signature")


def altered(frame: Frame, tag: int, value: bytes) -> Frame:
    """Return the frame with one TLV's value exchanged, its flags as they were."""
    return replace(frame, tlvs=tuple((kind, value if kind == tag else old) for kind, old in frame.tlvs))
