"""What a new estate starts with: its authority and the first certificates. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509

from qekm import pki
from qekm.certificates import record_of
from qekm.keypair import PublicKey, dump_key, make_key
from qekm.model import Certificate, Role
from qekm.pki import Issuer, RandomBytes
from qekm.subject import Subject

LOOPBACK = ("localhost", "127.0.0.1", "::1")
FIRST = (Role.SERVER, Role.GATEWAY, Role.ADMINISTRATOR)  # whose certificates a home begins with


@dataclass(frozen=True, slots=True)
class Founding:
    """What a new estate starts with: its authority, the signer's certificate, records, files for pki/."""

    issuer: Issuer
    signer: x509.Certificate
    records: tuple[Certificate, ...]
    files: Mapping[str, bytes]  # by file name; private keys among them


def found(
    estate: bytes, hosts: Sequence[str], signer: PublicKey, now_us: int, random_bytes: RandomBytes
) -> Founding:
    """Make an estate's first authority and the first certificates of server, gateway and administrator.

    hosts: names and addresses of server and gateway, besides those of the loopback. signer: the public eAK.
    """
    issuer = pki.make_issuer(estate, now_us, random_bytes)
    files = {"trust.pem": pki.pem(issuer.certificate)}
    records = []
    for role in FIRST:
        leaf, key = first_leaf(issuer, estate, role, hosts, now_us, random_bytes)
        name = role.name.lower()
        files |= {f"{name}.pem": pki.pem(leaf), f"{name}.key": key}
        records.append(record_of(leaf, issuer))
    return Founding(issuer, issuer.issue_signer(signer, now_us, random_bytes), tuple(records), files)


def first_leaf(
    issuer: Issuer,
    estate: bytes,
    role: Role,
    hosts: Sequence[str],
    now_us: int,
    random_bytes: RandomBytes,
    name: str = "",
) -> tuple[x509.Certificate, bytes]:
    """Return a home's certificate of a role and its new private key, PEM; BadArgument.

    name: that of the role, if nothing else is said.
    """
    everywhere = everywhere_of(hosts)
    subject = Subject(
        estate, role, name or role.name.lower(), () if role is Role.ADMINISTRATOR else everywhere
    )
    key = make_key()
    return issuer.issue(subject, key.public_key(), now_us, pki.LEAF_DAYS, random_bytes), dump_key(key)


def everywhere_of(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a server or a gateway: those of the loopback, and its own."""
    return tuple(dict.fromkeys((*LOOPBACK, *hosts)))
