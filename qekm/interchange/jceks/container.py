"""The file: a head, entries, and a digest of all that under the store's password.

Integrity is one SHA-1 of password, a phrase, and the body, so a wrong password and damage look alike where
the structure is whole.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha1

from qekm.errors import BadArgument, BadFile, BadPassword, TooMany
from qekm.interchange.jceks.cursor import Cursor, sized, text
from qekm.interchange.jceks.entries import Entry, Kind, ProtectedKey, TrustedCertificate
from qekm.interchange.jceks.privatekey import read_private, write_private
from qekm.interchange.jceks.sealed import read_sealed, write_sealed
from qekm.secret import Secret

MAX_FILE = 8 * 1024 * 1024  # bytes; 1,024 keys are half a megabyte
MAX_ENTRIES = 16_384
MAX_CHAIN = 64  # certificates of one key
MIN_PASSWORD = 6  # characters: keytool opens nothing with fewer
_MAGIC = bytes.fromhex("cececece")
_OTHERS = {bytes.fromhex("feedfeed"): "JKS", b"\x30": "PKCS #12"}
_VERSION = 2  # 1 has no types of certificates
_PHRASE = b"Mighty Aphrodite"
_DIGEST = 20
_X509 = "X.509"


def parse(data: bytes, password: Secret) -> tuple[Entry, ...]:
    """Return the entries of a JCEKS keystore, in order; keys stay protected.

    BadFile: not such a keystore, cut off, altered, or asking for more than one may. BadPassword: the store's
    password is another, or bytes were altered that no structure shows.
    """
    _check_head(data)
    cursor = Cursor(data, "the keystore")
    cursor.take(len(_MAGIC))
    if (version := cursor.number(4)) not in (1, _VERSION):
        cursor.refuse(f"is of version {version:,}; this program reads 1 and 2")
    typed = version == _VERSION
    count = cursor.count(4 + 2 + 8 + 4, MAX_ENTRIES)
    entries = tuple(_entry(cursor, typed) for _ in range(count))
    body = data[: cursor.at]
    digest = cursor.take(_DIGEST)
    cursor.finish()
    if not hmac.compare_digest(digest, _digest(body, password)):
        hint = "damage looks the same: compare the file with the one it was copied from"
        raise BadPassword("the password does not open the keystore", hint=hint)
    if len({entry.alias for entry in entries}) < count:
        raise BadFile("the keystore has two entries of one name, which Java never writes")
    return entries


def serialize(entries: Sequence[Entry], password: Secret) -> bytes:
    """Return the keystore of these entries; aliases in lower case, as Java looks for them.

    BadArgument: aliases that Java could not tell apart. TooMany. BadPassword: what keytool refuses.
    """
    check([entry.alias for entry in entries], password)
    head = _MAGIC + _VERSION.to_bytes(4) + len(entries).to_bytes(4)
    body = head + b"".join(map(_write_entry, entries))
    return body + _digest(body, password)


def check(aliases: Sequence[str], password: Secret) -> None:
    """Raise what serialize() would raise for these aliases and this password."""
    if len(aliases) > MAX_ENTRIES:
        raise TooMany(f"a keystore of over {MAX_ENTRIES:,} entries could not be read again", limit="entries")
    if len({alias.lower() for alias in aliases}) < len(aliases):
        raise BadArgument("in a Java keystore aliases differ in more than their case", field="alias")
    try:
        for alias in aliases:
            text(alias.lower())
    except ValueError:
        raise BadArgument("an alias is too long, or no text", field="alias") from None
    if len(_utf16(password)) < 2 * MIN_PASSWORD:
        raise BadPassword(f"the password of a Java keystore has at least {MIN_PASSWORD} characters")


def _check_head(data: bytes) -> None:
    if len(data) > MAX_FILE:
        raise BadFile(f"the file has over {MAX_FILE // 1024 // 1024} MiB; no keystore has")
    if data.startswith(_MAGIC):
        return
    for magic, kind in _OTHERS.items():
        if data.startswith(magic):
            hint = "convert a copy: keytool -importkeystore -deststoretype JCEKS"
            raise BadFile(f"the file is not a JCEKS keystore; it looks like {kind}", hint=hint)
    raise BadFile("the file is not a JCEKS keystore")


def _digest(body: bytes, password: Secret) -> bytes:
    digest = sha1(_utf16(password) + _PHRASE, usedforsecurity=False)
    digest.update(body)
    return digest.digest()


def _utf16(password: Secret) -> bytes:
    try:
        return password.reveal().decode().encode("utf-16-be")
    except UnicodeDecodeError:
        raise BadPassword("a password is UTF-8 text") from None


def _entry(cursor: Cursor, typed: bool) -> Entry:
    kind = cursor.number(4)
    alias = cursor.text()
    created_ms = int.from_bytes(cursor.take(8), signed=True)
    if kind == Kind.SECRET:
        return ProtectedKey(alias, created_ms, Kind.SECRET, read_sealed(cursor))
    if kind == Kind.CERTIFICATE:
        return TrustedCertificate(alias, created_ms, _certificate(cursor, typed))
    if kind != Kind.PRIVATE:
        cursor.refuse(f"has an entry of the unknown kind {kind:,}")
    cover = read_private(cursor.take(cursor.number(4)))
    count = cursor.count(4, MAX_CHAIN)
    chain = tuple(_certificate(cursor, typed) for _ in range(count))
    return ProtectedKey(alias, created_ms, Kind.PRIVATE, cover, chain)


def _certificate(cursor: Cursor, typed: bool) -> bytes:
    if typed and (kind := cursor.text()) != _X509:
        cursor.refuse(f"has a certificate of the unknown kind {kind[:64]!r}")
    return cursor.take(cursor.number(4))


def _write_entry(entry: Entry) -> bytes:
    kind = entry.kind if isinstance(entry, ProtectedKey) else Kind.CERTIFICATE
    head = kind.to_bytes(4) + text(entry.alias.lower()) + entry.created_ms.to_bytes(8, signed=True)
    if isinstance(entry, TrustedCertificate):
        return head + _write_certificate(entry.certificate)
    if entry.kind is Kind.SECRET:
        return head + write_sealed(entry.cover)
    chain = len(entry.chain).to_bytes(4) + b"".join(map(_write_certificate, entry.chain))
    return head + sized(write_private(entry.cover)) + chain


def _write_certificate(certificate: bytes) -> bytes:
    return text(_X509) + sized(certificate)
