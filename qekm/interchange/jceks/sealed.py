"""The two Java objects that a secret key is: the sealed one in the file, and the key inside of it."""

from __future__ import annotations

import re
from typing import NamedTuple

from qekm.interchange.jceks.cover import Cover
from qekm.interchange.jceks.cursor import Cursor, sized, text
from qekm.interchange.jceks.javaobject import STREAM, Code, Flag, JavaObject, read_object
from qekm.secret import Secret

_SEALED = "javax.crypto.SealedObject"
# Where known classes keep the bytes. Of any other, its only array of bytes is taken if AES has keys so long.
_KNOWN = {"javax.crypto.spec.SecretKeySpec": "key", "java.security.KeyRep": "encoded"}
_LENGTHS = (16, 24, 32)
_CLASS_OF = re.compile(r"(?:.*\.)?(\w+?)(?:Secret)?Key")  # com.ibm.crypto.provider.AESSecretKey
_ALGORITHM = re.compile(r"[\w./-]{1,64}", re.ASCII)


class Named(NamedTuple):
    """Key bytes and the algorithm that they are for, as Java names it."""

    algorithm: str
    material: Secret


def read_sealed(cursor: Cursor) -> Cover:
    """Take javax.crypto.SealedObject, or a class that extends it, and return what it covers; BadFile."""
    found = read_object(cursor)
    scheme, content = found.get("sealAlg"), found.get("encryptedContent")
    parameters = found.get("encodedParams") or b""
    if (
        not any(part.name == _SEALED for part in found.type.lineage())
        or not isinstance(scheme, str)
        or not isinstance(content, bytes)
        or not isinstance(parameters, bytes)
    ):
        cursor.refuse("has a secret key that is not sealed as Java seals keys")
    return Cover(scheme, parameters, content)


def read_key(plain: bytes, name: str) -> Named:
    """Return the key that was sealed; BadFile, that calls it `name`."""
    cursor = Cursor(plain, name)
    found = read_object(cursor)
    cursor.finish()
    material, algorithm = _material(found, cursor), found.get("algorithm")
    if algorithm is None and (match := _CLASS_OF.fullmatch(found.type.name)):
        algorithm = match[1]
    if not isinstance(algorithm, str) or not _ALGORITHM.fullmatch(algorithm):
        cursor.refuse("does not say what algorithm it is for")
    return Named(algorithm, Secret(material))


def _material(found: JavaObject, cursor: Cursor) -> bytes:
    if found.get("format") not in (None, "RAW"):
        cursor.refuse("is no secret key, though it lies where one must be")
    known = _KNOWN.get(found.type.name)
    arrays = [value for name, value in found.fields if isinstance(value, bytes) and known in (None, name)]
    if len(arrays) != 1 or not (known or len(arrays[0]) in _LENGTHS):
        cursor.refuse(f"is of a class in which no key can be seen: {found.type.name[:100]!r}")
    return arrays[0]


# Writing: what the JDK 17 writes, to the byte. Handles count classes, texts, objects from 7E0000h on.


def write_sealed(cover: Cover) -> bytes:
    """Return com.sun.crypto.provider.SealedObjectForKeyProtector over this cover."""
    fields = _array_field("encodedParams", _string("[B")) + _array_field("encryptedContent", _reference(2))
    fields += _object_field("paramsAlg", _string("Ljava/lang/String;"))
    fields += _object_field("sealAlg", _reference(3))
    parent = _class(_SEALED, "3e363da6c3b75470", 4, fields)
    child = _class("com.sun.crypto.provider.SealedObjectForKeyProtector", "cd57ca59e730bb53", 0, b"", parent)
    values = _array(_BYTES, cover.parameters) + _array(_reference(5), cover.content)
    return _stream(child, values + _string(cover.scheme) + _string(cover.scheme))


def write_key(key: Named) -> bytes:
    """Return javax.crypto.spec.SecretKeySpec of this key."""
    fields = _object_field("algorithm", _string("Ljava/lang/String;")) + _array_field("key", _string("[B"))
    kind = _class("javax.crypto.spec.SecretKeySpec", "5b470b66e230614d", 2, fields)
    return _stream(kind, _string(key.algorithm) + _array(_BYTES, key.material.reveal()))


def _stream(kind: bytes, values: bytes) -> bytes:
    return STREAM + bytes((Code.OBJECT,)) + kind + values


def _class(name: str, version: str, count: int, fields: bytes, parent: bytes = bytes((Code.NULL,))) -> bytes:
    head = bytes((Code.CLASS,)) + text(name) + bytes.fromhex(version) + bytes((Flag.SERIALIZABLE,))
    return head + count.to_bytes(2) + fields + bytes((Code.END,)) + parent


def _array_field(name: str, kind: bytes) -> bytes:
    return b"[" + text(name) + kind


def _object_field(name: str, kind: bytes) -> bytes:
    return b"L" + text(name) + kind


def _array(kind: bytes, value: bytes) -> bytes:
    return bytes((Code.ARRAY,)) + kind + sized(value)


def _string(value: str) -> bytes:
    return bytes((Code.STRING,)) + text(value)


def _reference(number: int) -> bytes:
    return bytes((Code.REFERENCE,)) + (0x7E0000 + number).to_bytes(4)


_BYTES = _class("[B", "acf317f8060854e0", 0, b"")
