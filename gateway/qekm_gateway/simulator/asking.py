"""A drive asking a key manager for a key: one session of the protocol, sans I/O (docs/protocol.md).

Feed it frames and send what it returns. Every check that a client owes is made before a key is unwrapped;
once a key is installed, nothing that the network says takes it away again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from qekm.dkp.codes import Ask, Fault, good_sense, sense, sense_key_of
from qekm.dkp.frame import Frame, MessageType, Tag, build, parse, serialize
from qekm.dkp.messages import check_flags, check_missing
from qekm.dkp.names import alias_to_dki
from qekm.dkp.pages import (
    KEY_WRAPPED,
    SetDataEncryption,
    build_label,
    build_t10_label,
    parse_set_data_encryption,
    random_number_page,
    split_wrapped_key,
)
from qekm.dkp.signed import (
    CLIENT,
    CONFIRMATION_LENGTH,
    SERVER,
    confirmation,
    confirmation_bytes,
    join_signature,
    sign_frame,
    signature_of,
    signed_bytes,
)
from qekm_gateway.simulator.anchors import Anchors, Leaf, Untrusted
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome, refusal_of
from qekm_gateway.simulator.keys import InstalledKey, SessionKey
from qekm_gateway.simulator.sense import ILLEGAL_REQUEST, UNABLE_TO_DECRYPT_PARAMETERS, CheckCondition

_SHA256 = hashes.SHA256()
_MGF1 = padding.MGF1(_SHA256)
_RSA_2048 = 0x0000  # parameter set of our DSK
_KEY_LENGTH = 32


class Session:
    """One session of one drive: begin() gives the first frame, receive() the next, or None at the end.

    Raises Refused for an ERROR and Untrusted for whatever fails a check; the caller then closes. Once a
    KEY_STATUS was made `outcome` is there, and nothing more is raised.
    """

    __slots__ = (
        "_anchors",
        "_drive",
        "_earlier",
        "_errand",
        "_leaf",
        "_nonce",
        "_now_us",
        "_random_bytes",
        "_sequence",
        "_session_id",
        "_session_key",
        "_step",
        "outcome",
    )

    def __init__(
        self,
        drive: Drive,
        errand: Errand,
        anchors: Anchors,
        random_bytes: Callable[[int], bytes],
        now_us: Callable[[], int],
    ) -> None:
        self._drive = drive
        self._errand = errand
        self._anchors = anchors
        self._random_bytes = random_bytes
        self._now_us = now_us
        self._earlier = b""
        self._session_id = 0
        self._sequence = 0
        self._nonce = b""
        self._leaf: Leaf | None = None
        self._session_key: SessionKey | None = None
        self._step: Callable[[Frame], Frame | None] = self._on_query_dsk
        self.outcome: Outcome | None = None

    def begin(self) -> bytes:
        """Return message 01."""
        if self._errand.ask is Ask.NO_OPERATION:
            self._step = self._on_no_operation
        return self._remember(self._drive.notify(self._errand))

    def receive(self, raw: bytes) -> bytes | None:
        """Take one frame of the server's; return the frame to send, or None when the session is over."""
        try:
            answer = self._decide(raw)
        except (Fault, CheckCondition) as problem:
            condition = Untrusted(str(problem)) if isinstance(problem, Fault) else problem
            if self.outcome is None:
                raise condition from None
            self.outcome = replace(self.outcome, note=str(condition))
            return None
        if answer is None:
            return None
        signer = self._drive.signer
        signed = sign_frame(CLIENT, self._earlier, answer, signer.type, signer.length, signer.sign)
        return self._remember(signed)

    def _decide(self, raw: bytes) -> Frame | None:
        frame = parse(raw)
        if frame.type == MessageType.ERROR:
            raise refusal_of(frame)
        check_missing(frame)
        check_flags(frame)
        if frame.sequence != self._sequence + 1:
            raise Untrusted("wrong sequence number")
        if self._leaf is not None:
            self._check_frame(frame, self._leaf)
        self._earlier += raw
        return self._step(frame)

    def _remember(self, frame: Frame) -> bytes:
        raw = serialize(frame)
        self._earlier += raw
        self._sequence = frame.sequence
        return raw

    # What may come, step by step.

    def _on_no_operation(self, frame: Frame) -> None:
        _expect(frame, MessageType.COMPLETE)
        if frame.tlvs or frame.session_id:
            raise Untrusted("no empty COMPLETE after a no operation")
        self.outcome = Outcome(note="reachable; nothing was authenticated")

    def _on_query_dsk(self, frame: Frame) -> Frame:
        _expect(frame, MessageType.QUERY_DSK)
        if not frame.session_id:
            raise Untrusted("session id 0")
        now_us = self._now_us()
        self._session_id = frame.session_id
        self._leaf = self._anchors.check(frame.all(Tag.CERTIFICATE), now_us)
        self._nonce = self._random_bytes(32)
        self._session_key = self._drive.current_session_key(now_us)
        self._step = self._on_query_dki if self._errand.late else self._on_key
        return self._reply(
            MessageType.QUERY_DSK_REPLY,
            frame,
            *((Tag.CERTIFICATE, der) for der in self._drive.certificates),
            (Tag.DSK_LIST, self._session_key.dsk_list),
            (Tag.RANDOM_NUMBER, random_number_page(self._nonce)),
        )

    def _on_query_dki(self, frame: Frame) -> Frame:
        _expect(frame, MessageType.QUERY_DKI)
        self._step = self._on_key
        return self._reply(MessageType.QUERY_DKI_REPLY, frame, (Tag.DKI, self._errand.dki))

    def _on_key(self, frame: Frame) -> Frame:
        self._step = self._on_complete
        if frame.type == MessageType.NO_KEY and self._errand.ask is Ask.OPTIONAL:
            self._drive.clear()
            return self._report(frame, Outcome(in_clear=True, status=good_sense()))
        _expect(frame, MessageType.SET_KEY)
        page = parse_set_data_encryption(frame.get(Tag.SET_DATA_ENCRYPTION) or b"")
        alias = (frame.get(Tag.KEY_ALIAS) or b"").decode()
        label, wrapped = self._check_page(frame, page, alias)
        material = self._unwrap(label, wrapped)
        if material is None:
            return self._report(frame, Outcome(status=sense(ILLEGAL_REQUEST, UNABLE_TO_DECRYPT_PARAMETERS)))
        key = InstalledKey(alias, page.dki, material, page.encryption_mode, page.decryption_mode)
        status = self._drive.install(key, self._errand)
        return self._report(frame, Outcome(None if sense_key_of(status) else key, status=status))

    def _on_complete(self, frame: Frame) -> None:
        _expect(frame, MessageType.COMPLETE)
        if self.outcome is not None:
            self.outcome = replace(self.outcome, confirmed=True, note="")

    # What is checked.

    def _check_frame(self, frame: Frame, leaf: Leaf) -> None:
        """Check what each frame after QUERY_DSK owes: its session and, but for QUERY_DKI, its signature."""
        if frame.session_id != self._session_id:
            raise Untrusted("another session id")
        if frame.type == MessageType.QUERY_DKI:
            return
        kind, signature = signature_of(frame)
        if not leaf.verify(kind, signature, signed_bytes(SERVER, self._earlier, frame)):
            raise Untrusted("the signature is wrong")

    def _check_page(self, frame: Frame, page: SetDataEncryption, alias: str) -> tuple[bytes, bytes]:
        """Return label and wrapped key of a page made for this drive, this session and this errand alone."""
        errand = self._errand
        if page.key_format != KEY_WRAPPED:
            raise Untrusted("a key in clear")
        parameter_set, label, wrapped = split_wrapped_key(page.key)
        if parameter_set != _RSA_2048 or label != self._expected_label(frame, page.dki):
            raise Untrusted("the label is for another drive, server, session or key")
        if alias_to_dki(alias) != page.dki:
            raise Untrusted("alias and A-KAD differ")
        if errand.named and errand.named != page.dki:
            raise Untrusted("another key than the one named")
        if (page.encryption_mode, page.decryption_mode) not in errand.modes:
            raise Untrusted("modes that were not asked for")
        return label, wrapped

    def _expected_label(self, frame: Frame, dki: bytes) -> bytes:
        drive = self._drive
        if drive.t10_label or self._leaf is None:
            return build_t10_label(drive.wwnn)
        return build_label(
            drive.wwnn,
            self._leaf.spki_sha256,
            self._session_id,
            frame.sequence,
            self._nonce,
            dki,
            drive.certificate_sha256,
        )

    # What is made.

    def _unwrap(self, label: bytes, wrapped: bytes) -> bytes | None:
        if self._session_key is None:
            return None
        try:
            material = self._session_key.private.decrypt(wrapped, padding.OAEP(_MGF1, _SHA256, label))
        except ValueError:
            return None
        return material if len(material) == _KEY_LENGTH else None

    def _report(self, frame: Frame, outcome: Outcome) -> Frame:
        """Build KEY_STATUS; with a key installed, also the proof of it over all that was said (0191)."""
        self.outcome = replace(outcome, note="no COMPLETE came")
        status: tuple[int, bytes] = (Tag.SENSE, outcome.status)
        if outcome.key is None:
            return self._reply(MessageType.KEY_STATUS, frame, status)
        signer = self._drive.signer
        blanks: tuple[tuple[int, bytes], ...] = (
            (Tag.KEY_CONFIRMATION, bytes(CONFIRMATION_LENGTH)),
            (Tag.SIGNATURE, join_signature(signer.type, bytes(signer.length))),
        )
        covered = confirmation_bytes(
            self._earlier, self._reply(MessageType.KEY_STATUS, frame, status, *blanks)
        )
        proof = confirmation(outcome.key.material, self._session_id, covered)
        return self._reply(MessageType.KEY_STATUS, frame, status, (Tag.KEY_CONFIRMATION, proof))

    def _reply(self, kind: MessageType, frame: Frame, *tlvs: tuple[int, bytes]) -> Frame:
        return build(kind, self._session_id, frame.sequence + 1, [(int(tag), value) for tag, value in tlvs])


def _expect(frame: Frame, kind: MessageType) -> None:
    if frame.type != kind:
        raise Untrusted(f"message {frame.type:02X} where {kind.name} is due")
