"""A frame of the drive key protocol as the debug log shows it: in hex, with two stars for a masked byte.

What is shown is on a list, and checked where its grammar leaves room for anything. The rest is masked:
extensions, types that do not exist yet, keys that somebody sends where none belongs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qekm.dkp.codes import Fault, ask_of, sense_key_of
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame, serialize
from qekm.dkp.messages import named_dki
from qekm.dkp.pages import KEY_WRAPPED, parse_public_key_page, parse_set_data_encryption, split_wrapped_key
from qekm.dkp.signed import SignatureType, split_dsk_list, split_signature

_HEADER = 24
_PAGE_HEAD, _STATUS_HEAD = 20, 16  # bytes of page 0010h before the key, of page 0021h before descriptors
_MASK = "**"
_HARMLESS = frozenset(
    {
        *(Tag.DRIVE_SERIAL, Tag.DRIVE_WWNN, Tag.VENDOR, Tag.PRODUCT, Tag.FIRMWARE, Tag.VOLSER),
        *(Tag.LIBRARY_SERIAL, Tag.KEY_ALIAS, Tag.MOUNT_ID, Tag.CHALLENGE, Tag.DKI, Tag.SENSE, Tag.SENSE_T10),
        *(Tag.ERROR_TEXT, Tag.OFFENDING, Tag.SIGNATURE, Tag.RANDOM_NUMBER),
    }
)
_TEXTS = {
    Tag.DRIVE_SERIAL: "serial",
    Tag.VENDOR: "vendor",
    Tag.PRODUCT: "product",
    Tag.FIRMWARE: "firmware",
    Tag.VOLSER: "volser",
    Tag.LIBRARY_SERIAL: "library",
    Tag.KEY_ALIAS: "alias",
}
_BYTES = {Tag.DRIVE_WWNN: "wwnn", Tag.DKI: "dki", Tag.MOUNT_ID: "mount"}


def frame_line(frame: Frame) -> str:
    """Return a frame on one line: its name, session and sequence, what it says in words, its bytes."""
    name, number = _named(MessageType, frame.type), frame.sequence
    head = f"{frame.type:02X} {name} session={frame.session_id:016X} sequence={number}"
    return " ".join([head, *_words(frame), f"frame={masked(frame)}"])


def masked(frame: Frame) -> str:
    """Return a frame's bytes in hex, masked."""
    parts = [serialize(frame)[:_HEADER].hex()]
    for tag, value in frame.tlvs:
        parts.append(struct.pack(">HH", tag, len(value)).hex())
        parts.append(value.hex() if tag in _HARMLESS else _VALUES.get(tag, _hidden)(value))
    return "".join(parts)


def _hidden(value: bytes) -> str:
    return _MASK * len(value)


def _certificate(value: bytes) -> str:
    """Show what is a certificate and nothing else."""
    return value.hex() if _crypto_class(value) else _hidden(value)


def _dsk_list(value: bytes) -> str:
    """Show a list that holds one public key and its signature, to the last byte."""
    try:
        parse_public_key_page(split_dsk_list(value)[1])
    except Fault:
        return _hidden(value)
    return value.hex()


def _data_encryption(value: bytes) -> str:
    """Show page 0010h but for the wrapped key; one with a key in clear not at all."""
    try:
        page = parse_set_data_encryption(value)
        _, label, wrapped = split_wrapped_key(page.key)
    except Fault:
        return _hidden(value)
    if page.key_format != KEY_WRAPPED:
        return _hidden(value)
    start = _PAGE_HEAD + 4 + len(label) + 2
    end = start + len(wrapped)
    return value[:start].hex() + _hidden(wrapped) + value[end:].hex()


def _block_status(value: bytes) -> str:
    """Show page 0021h but for what is in its descriptors; the DKi that it may name is told in words."""
    return value[:_STATUS_HEAD].hex() + _hidden(value[_STATUS_HEAD:])


_VALUES: dict[int, Callable[[bytes], str]] = {
    Tag.CERTIFICATE: _certificate,
    Tag.DSK_LIST: _dsk_list,
    Tag.SET_DATA_ENCRYPTION: _data_encryption,
    Tag.NEXT_BLOCK_ENCRYPTION_STATUS: _block_status,
}


def _words(frame: Frame) -> Iterator[str]:
    """Yield what people look for: the drive, its maker, the cartridge, the sense data, the cryptography."""
    for tag, value in frame.tlvs:
        if tag in _TEXTS:
            yield f"{_TEXTS[Tag(tag)]}={json.dumps(value.decode(errors='replace').strip())}"
        elif tag in _BYTES:
            yield f"{_BYTES[Tag(tag)]}={value.hex().upper()}"
        elif tag == Tag.SENSE:
            ask = ask_of(value)
            yield f"sense={sense_key_of(value):X}/{value[12:14].hex().upper()}" + (
                f"({ask.value})" if ask else ""
            )
    try:
        if frame.get(Tag.DKI) is None and (akad := named_dki(frame)) is not None:
            yield f"dki={akad.hex().upper()}"
        yield from _cryptography(frame)
    except Fault as fault:
        yield f"unreadable={fault.code.name}"


def _cryptography(frame: Frame) -> Iterator[str]:
    """Yield which keys and algorithms a frame uses; Fault for what cannot be read."""
    if certificates := frame.all(Tag.CERTIFICATE):
        yield f"certificate={_crypto_class(certificates[0]) or 'unreadable'}"
    if (signature := frame.get(Tag.SIGNATURE)) is not None:
        yield f"signature={_named(SignatureType, split_signature(signature)[0])}"
    if (dsk_list := frame.get(Tag.DSK_LIST)) is not None:
        _, page, kind, _ = split_dsk_list(dsk_list)
        yield f"dsk={parse_public_key_page(page)[0].name} dsk-signature={_named(SignatureType, kind)}"
    if page := frame.get(Tag.SET_DATA_ENCRYPTION) or b"":
        parameter_set = split_wrapped_key(parse_set_data_encryption(page).key)[0]
        yield f"wrapping=RSA-OAEP-SHA256 parameter-set={parameter_set:04X}"


def _crypto_class(certificate: bytes) -> str:
    """Return kind and size of a certificate's key, empty for what is no certificate."""
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except Exception:  # whatever a stranger can have the parser raise
        return ""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC/{public.curve.name}"
    return f"RSA/{public.key_size}" if isinstance(public, rsa.RSAPublicKey) else type(public).__name__


def _named(kind: Callable[[int], object], number: int) -> str:
    try:
        return str(getattr(kind(number), "name", ""))
    except ValueError:
        return f"{number:04X}"
