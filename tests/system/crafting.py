"""A drive that speaks the protocol correctly but for what a test spoils in one of its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from qekm.dkp.codes import good_sense
from qekm.dkp.frame import Frame, MessageType, Tag, build, derive_flags, parse, serialize
from qekm.dkp.pages import parse_set_data_encryption, random_number_page, split_wrapped_key
from qekm.dkp.signed import CLIENT, confirmation, confirmation_bytes, join_signature, signed_bytes
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.link import Connection

SHA256 = hashes.SHA256()
NONCE = bytes(range(32))


@dataclass(slots=True)
class Draft:
    """A frame before it is laid out and signed; what is changed here is covered by the signature."""

    type: int
    session_id: int
    sequence: int
    tlvs: list[tuple[int, bytes]]
    flip: int = 0  # flags to invert
    sig_type: int | None = None  # to name instead of the right one
    is_forged: bool = False  # the signature is of something else
    is_unproved: bool = False  # the key confirmation is of another key


Spoil = Callable[[Draft], None]


def flags(mask: int) -> Spoil:
    """Invert flags."""

    def spoil(draft: Draft) -> None:
        draft.flip ^= mask

    return spoil


def out_of_turn(draft: Draft) -> None:
    """Count on as if a frame had been left out."""
    draft.sequence += 2


def without(tag: Tag) -> Spoil:
    """Leave a TLV out."""

    def spoil(draft: Draft) -> None:
        draft.tlvs = [(kind, value) for kind, value in draft.tlvs if kind != tag]

    return spoil


def changed(tag: Tag, change: Callable[[bytes], bytes]) -> Spoil:
    """Change the value of a TLV."""

    def spoil(draft: Draft) -> None:
        draft.tlvs = [(kind, change(value) if kind == tag else value) for kind, value in draft.tlvs]

    return spoil


def patched(tag: Tag, offset: int, part: bytes) -> Spoil:
    """Overwrite some bytes of a TLV's value; a negative offset counts from its end."""

    def patch(value: bytes) -> bytes:
        at = offset % len(value)
        return value[:at] + part + value[at + len(part) :]

    return changed(tag, patch)


def typed(sig_type: int) -> Spoil:
    """Name another signature type."""

    def spoil(draft: Draft) -> None:
        draft.sig_type = sig_type

    return spoil


def forged(draft: Draft) -> None:
    """Sign something else."""
    draft.is_forged = True


def unproved(draft: Draft) -> None:
    """Prove another key."""
    draft.is_unproved = True


@dataclass(slots=True)
class Conversation:
    """One session of a drive; `before_sending` is called with each draft, and may do anything else besides.

    `last` is the server's last frame that was no ERROR.
    """

    link: Connection
    drive: Drive
    errand: Errand
    before_sending: Spoil
    last: Frame | None = None
    earlier: bytes = b""
    _material: bytes = field(default=b"", repr=False)

    def play(self) -> bytes:
        """Go on until COMPLETE or ERROR comes, and return that frame as it came."""
        answer = self._ask(MessageType.DRIVER_ERROR_NOTIFY, list(self.drive.notify(self.errand).tlvs))
        while answer[5] not in (MessageType.COMPLETE, MessageType.ERROR):
            self.last = parse(answer)
            self.earlier += answer
            answer = self._go_on(self.last)
        return answer

    def _go_on(self, frame: Frame) -> bytes:
        if frame.type == MessageType.QUERY_DSK:
            assert self.drive.session_key is not None
            chain = [(int(Tag.CERTIFICATE), der) for der in self.drive.certificates]
            dsk_list = (int(Tag.DSK_LIST), self.drive.session_key.dsk_list)
            nonce = (int(Tag.RANDOM_NUMBER), random_number_page(NONCE))
            return self._ask(MessageType.QUERY_DSK_REPLY, [*chain, dsk_list, nonce])
        if frame.type == MessageType.QUERY_DKI:
            return self._ask(MessageType.QUERY_DKI_REPLY, [(int(Tag.DKI), self.errand.dki)])
        assert frame.type == MessageType.SET_KEY
        self._material = self._unwrap(frame.get(Tag.SET_DATA_ENCRYPTION) or b"")
        status = [(int(Tag.SENSE), good_sense()), (int(Tag.KEY_CONFIRMATION), bytes(32))]
        return self._ask(MessageType.KEY_STATUS, status)

    def _unwrap(self, page: bytes) -> bytes:
        _, label, wrapped = split_wrapped_key(parse_set_data_encryption(page).key)
        assert self.drive.session_key is not None
        scheme = padding.OAEP(padding.MGF1(SHA256), SHA256, label)
        return self.drive.session_key.private.decrypt(wrapped, scheme)

    def _ask(self, kind: MessageType, tlvs: list[tuple[int, bytes]]) -> bytes:
        session_id, sequence = (self.last.session_id, self.last.sequence) if self.last else (0, 0)
        draft = Draft(kind, session_id, sequence + 1, tlvs)
        self.before_sending(draft)
        raw = serialize(self._laid_out(draft))
        self.earlier += raw
        return self.link.ask(raw)

    def _laid_out(self, draft: Draft) -> Frame:
        """Return the frame of a draft, with its confirmation and signature if the message has them."""
        signer = self.drive.signer
        sig_type = signer.type if draft.sig_type is None else draft.sig_type
        blank = (int(Tag.SIGNATURE), join_signature(sig_type, bytes(signer.length)))
        is_signed = draft.type != MessageType.DRIVER_ERROR_NOTIFY
        frame = _frame(draft, [*draft.tlvs, blank] if is_signed else draft.tlvs)
        if frame.get(Tag.KEY_CONFIRMATION) is not None:
            material = bytes(32) if draft.is_unproved else self._material
            proof = confirmation(material, draft.session_id, confirmation_bytes(self.earlier, frame))
            frame = _frame(draft, _with(frame, Tag.KEY_CONFIRMATION, proof))
        if is_signed:
            covered = b"" if draft.is_forged else signed_bytes(CLIENT, self.earlier, frame)
            value = join_signature(sig_type, signer.sign(covered))
            frame = _frame(draft, _with(frame, Tag.SIGNATURE, value))
        return frame


def _frame(draft: Draft, tlvs: list[tuple[int, bytes]]) -> Frame:
    ordered = build(draft.type, draft.session_id, draft.sequence, tlvs).tlvs
    return Frame(draft.type, derive_flags(ordered) ^ draft.flip, draft.session_id, draft.sequence, ordered)


def _with(frame: Frame, tag: Tag, value: bytes) -> list[tuple[int, bytes]]:
    return [(kind, value if kind == tag else old) for kind, old in frame.tlvs]
