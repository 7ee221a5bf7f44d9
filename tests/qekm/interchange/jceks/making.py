"""Java streams and keystores made by hand, so that they can be such as Java and this program never write."""

from __future__ import annotations

import hashlib

from qekm.interchange.jceks.cover import Work, cover, stretch
from qekm.secret import Secret

PASSWORD = "correct horse"
MAGIC, STREAM = bytes.fromhex("cececece"), bytes.fromhex("aced0005")
NULL, END = b"\x70", b"\x78"
SERIALIZABLE, ANNOTATED, EXTERNALIZABLE, ENUM = 2, 3, 4, 0x12
WORK = Work(bytes(range(1, 9)), 1)


def secret(text: str = PASSWORD) -> Secret:
    """Return a password as this program takes it."""
    return Secret(text.encode())


def utf(text: str) -> bytes:
    """Return a text of characters that need no more than UTF-8, behind its length."""
    return len(text.encode()).to_bytes(2) + text.encode()


def string(text: str) -> bytes:
    """Return a java.lang.String."""
    return b"\x74" + utf(text)


def reference(number: int) -> bytes:
    """Return a reference to the object of this number."""
    return b"\x71" + (0x7E0000 + number).to_bytes(4)


def java_class(
    name: str,
    fields: dict[str, str],
    *,
    flags: int = SERIALIZABLE,
    parent: bytes = NULL,
    annotation: bytes = b"",
) -> bytes:
    """Return a class; fields: name to type, as `I`, `[B`, `Ljava/lang/String;`."""
    described = b"".join(
        kind[0].encode() + utf(name) + (string(kind) if kind[0] in "[L" else b"")
        for name, kind in fields.items()
    )
    head = b"\x72" + utf(name) + bytes(8) + bytes((flags,)) + len(fields).to_bytes(2)
    return head + described + annotation + END + parent


def java_object(kind: bytes, *values: bytes) -> bytes:
    """Return an object of a class."""
    return b"\x73" + kind + b"".join(values)


def array(content: bytes, kind: str = "[B", count: int | None = None) -> bytes:
    """Return an array of a primitive type; count: what it claims, if not the truth."""
    return b"\x75" + java_class(kind, {}) + (len(content) if count is None else count).to_bytes(4) + content


def enum(kind: str, constant: str) -> bytes:
    """Return a constant of an enum."""
    parent = java_class("java.lang.Enum", {}, flags=ENUM)
    return b"\x7e" + java_class(kind, {}, flags=ENUM, parent=parent) + string(constant)


STRING = "Ljava/lang/String;"


def ibm_key(material: bytes, name: str = "com.ibm.crypto.provider.AESSecretKey") -> bytes:
    """Return a key of a class that OpenJDK does not know, as one sealed."""
    return STREAM + java_object(java_class(name, {"key": "[B"}), array(material))


def key_rep(algorithm: str, material: bytes, form: str = "RAW", kind: str = "SECRET") -> bytes:
    """Return what the JDK seals in place of keys of its own classes: java.security.KeyRep."""
    fields = {"algorithm": STRING, "encoded": "[B", "format": STRING, "type": "Ljava/security/KeyRep$Type;"}
    values = string(algorithm), array(material), string(form), enum("java.security.KeyRep$Type", kind)
    return STREAM + java_object(java_class("java.security.KeyRep", fields), *values)


def sealed(plain: bytes, *, scheme: str = "PBEWithMD5AndTripleDES", work: Work = WORK) -> bytes:
    """Return javax.crypto.SealedObject itself around these bytes, which IBM's Java is known to write."""
    covered = cover(plain, work, stretch(PASSWORD.encode(), work))
    fields = {"encodedParams": "[B", "encryptedContent": "[B", "paramsAlg": STRING, "sealAlg": STRING}
    values = array(covered.parameters), array(covered.content), string(scheme), string(scheme)
    return STREAM + java_object(java_class("javax.crypto.SealedObject", fields), *values)


def secret_entry(alias: str, sealed_object: bytes) -> bytes:
    """Return the entry of a secret key."""
    return b"\0\0\0\3" + utf(alias) + bytes(8) + sealed_object


def certificate_entry(alias: str, certificate: bytes, kind: str | None = "X.509") -> bytes:
    """Return the entry of a certificate; kind None: as in version 1."""
    typed = b"" if kind is None else utf(kind)
    return b"\0\0\0\2" + utf(alias) + bytes(8) + typed + len(certificate).to_bytes(4) + certificate


def store(*entries: bytes, count: int | None = None, version: int = 2, password: str = PASSWORD) -> bytes:
    """Return a keystore; count: of entries, if it is to lie."""
    head = MAGIC + version.to_bytes(4) + (len(entries) if count is None else count).to_bytes(4)
    return signed(head + b"".join(entries), password)


def signed(body: bytes, password: str = PASSWORD) -> bytes:
    """Return the body with the digest that makes it whole."""
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()
