"""The keys that one key manager gives to another, as the bytes that CMS signs and encrypts. Sans-I/O.

    Parcel ::= SEQUENCE {
      kind       UTF8String ("QEKM KEYS"),
      version    INTEGER (1),
      estate     OCTET STRING (SIZE (16)),   -- who exported
      recipient  OCTET STRING (SIZE (32)),   -- SHA-256 of the certificate it is for
      exported   INTEGER,                    -- times: microseconds since 1970-01-01 UTC, below 2^63
      keys       SEQUENCE SIZE (0..100000) OF SEQUENCE {
        dki       OCTET STRING (SIZE (12)),  -- ascending, no two alike
        alias     UTF8String,
        material  OCTET STRING (SIZE (32)),
        group     UTF8String,
        created   INTEGER } }

DER and not JSON: text would put every key through base64 and str, which nobody can wipe, and DER has one
encoding of a parcel. There is no check value beside a key: signature and tag cover every byte of it, and one
without a secret would only serve who guesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from qekm.dkp.names import DKI_LENGTH, alias_to_dki, is_alias
from qekm.errors import BadArgument, BadFile, TooMany
from qekm.interchange.der import OCTETS, SEQUENCE, UTF8, Reader, element, integer, nest
from qekm.secret import Secret

MAX_KEYS = 100_000
KEY_LENGTH = 32
_KIND, _VERSION = element(UTF8, b"QEKM KEYS"), 1
_MAX_GROUP = 64
_MAX_TIME_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A data key on its way between key managers. BadArgument if a field has a value that it cannot have."""

    alias: str
    material: Secret  # 32 bytes
    group: str
    create_time_us: int

    def __post_init__(self) -> None:
        if not is_alias(self.alias):
            raise BadArgument("a key has a name that is no key alias", field="alias")
        name = self.group
        if not (1 <= len(name) <= _MAX_GROUP and name.isascii() and name.isprintable() and " " not in name):
            raise BadArgument(f"key {self.alias} is in a group whose name cannot be", field="group")
        if not 0 <= self.create_time_us <= _MAX_TIME_US:
            raise BadArgument(f"key {self.alias} was made at a time that cannot be", field="create_time_us")

    @property
    def dki(self) -> bytes:
        """Return the 12 bytes that name the key on tape."""
        return alias_to_dki(self.alias)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Keys, who exported them and when, and for which certificate alone they are."""

    estate: bytes  # 16 bytes
    recipient: bytes  # SHA-256 of the certificate's DER
    export_time_us: int
    keys: tuple[SharedKey, ...]

    def __post_init__(self) -> None:
        assert (len(self.estate), len(self.recipient)) == (16, 32)
        assert 0 <= self.export_time_us <= _MAX_TIME_US


def serialize(parcel: Parcel) -> bytearray:
    """Return a parcel's encoding, keys in order of DKi; whoever takes it wipes it.

    TooMany above 100,000 keys; BadArgument for two keys of one DKi and a key of another length.
    """
    if len(parcel.keys) > MAX_KEYS:
        raise TooMany(f"one file holds {MAX_KEYS} keys and not {len(parcel.keys)}", limit="keys")
    keys = sorted(parcel.keys, key=lambda key: key.dki)
    for before, key in pairwise(keys):
        if before.dki == key.dki:
            raise BadArgument(f"key {key.alias} is there twice", field="keys")
    encoded = map(_serialize_key, keys)
    head = (
        _KIND,
        integer(_VERSION),
        element(OCTETS, parcel.estate),
        element(OCTETS, parcel.recipient),
        integer(parcel.export_time_us),
    )
    return bytearray().join(nest(SEQUENCE, *head, *nest(SEQUENCE, *encoded)))


def parse(data: memoryview) -> Parcel:
    """Return the parcel of an encoding; BadFile for anything else, for a newer version too."""
    fields = Reader(data).only(SEQUENCE)
    fields.choose((_KIND,), "kind of contents")
    version = fields.integer(_MAX_TIME_US)
    if version != _VERSION:
        raise BadFile(
            f"the file's contents are of version {version}; this program reads version {_VERSION}",
            hint="update the key manager that is to read it",
        )
    estate, recipient = bytes(fields.octets(16)), bytes(fields.octets(32))
    export_time_us = fields.integer(_MAX_TIME_US)
    return Parcel(estate, recipient, export_time_us, tuple(_parse_keys(fields.only(SEQUENCE))))


def _serialize_key(key: SharedKey) -> bytes:
    material = key.material.reveal()
    if len(material) != KEY_LENGTH:
        raise BadArgument(f"key {key.alias} does not have {KEY_LENGTH} bytes", field="material")
    return element(
        SEQUENCE,
        element(OCTETS, key.dki),
        element(UTF8, key.alias.encode()),
        element(OCTETS, material),
        element(UTF8, key.group.encode()),
        integer(key.create_time_us),
    )


def _parse_keys(reader: Reader) -> Iterable[SharedKey]:
    before, count = b"", 0
    while reader.next_is(SEQUENCE):
        dki, key = _parse_key(reader.enter(SEQUENCE))
        if dki != key.dki or dki <= before:
            raise BadFile(
                f"the file is damaged: the DKi of key {key.alias} is not its alias's or out of order"
            )
        before, count = dki, count + 1
        if count > MAX_KEYS:
            raise BadFile(f"the file holds more than {MAX_KEYS} keys")
        yield key
    reader.end()


def _parse_key(fields: Reader) -> tuple[bytes, SharedKey]:
    try:
        dki, alias = bytes(fields.octets(DKI_LENGTH)), str(fields.take(UTF8), "utf-8")
        material, group = Secret(bytearray(fields.octets(KEY_LENGTH))), str(fields.take(UTF8), "utf-8")
        key = SharedKey(alias, material, group, fields.integer(_MAX_TIME_US))
    except UnicodeDecodeError:
        raise BadFile("the file is damaged: a name is no text") from None
    except BadArgument as error:
        raise BadFile(f"the file is damaged: {error.message}") from None
    fields.end()
    return dki, key
