"""Whom a certificate of ours names: estate, role, name, and the hosts of servers and gateways. No I/O.

A leaf carries exactly one URI SAN, `qekm://ESTATE/ROLE/NAME` with the estate in hex and the name
percent-encoded (RFC 3986); nothing else in it says who its holder is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from cryptography import x509

from qekm.errors import BadArgument, BadCertificate
from qekm.model import Role

_NAME_LENGTH = 64
_HOSTS = 64
_HOST = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_URI = re.compile(r"qekm://([0-9a-f]{32})/([a-z]+)/([^/?#]+)")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a leaf names: estate (16 bytes), role, name, and for servers and gateways their hosts."""

    estate: bytes
    role: Role
    name: str
    hosts: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """Return the URI SAN."""
        return f"qekm://{self.estate.hex()}/{self.role.name.lower()}/{quote(self.name, safe='')}"

    @property
    def alternative_names(self) -> x509.SubjectAlternativeName:
        """Return the leaf's SAN; BadArgument names what cannot be written."""
        check_name(self.name)
        hosts = map(_general_name, check_hosts(self.role, self.hosts))
        return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.uri), *hosts])


def check_name(name: str) -> str:
    """Return a name that can stand in a certificate; BadArgument else."""
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable() or "/" in name or name != name.strip():
        raise BadArgument(
            f"a name has 1 to {_NAME_LENGTH} printable characters, no slash, and no space at either end",
            field="name",
        )
    return name


def check_hosts(role: Role, hosts: Sequence[str]) -> tuple[str, ...]:
    """Return host names and addresses as they are written, each once; BadArgument for one that cannot be."""
    if hosts and role not in (Role.SERVER, Role.GATEWAY, Role.CANDIDATE):  # those it has once it is a server
        raise BadArgument(f"only servers and gateways have hosts, not {role.name.lower()}", field="hosts")
    if len(hosts) > _HOSTS:
        raise BadArgument(f"{len(hosts)} hosts; the most is {_HOSTS}", field="hosts")
    return tuple(dict.fromkeys(str(_general_name(host).value) for host in hosts))


def subject_of(certificate: x509.Certificate) -> Subject:
    """Return whom a leaf names; BadCertificate unless it names exactly one identity."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (
        ValueError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise BadCertificate("the certificate has no alternative name that can be read") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    match = _URI.fullmatch(uris[0]) if len(uris) == 1 else None
    if match is None or match[2].upper() not in Role.__members__:
        raise BadCertificate("the certificate does not name exactly one identity")
    hosts = [*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)]
    subject = Subject(
        bytes.fromhex(match[1]),
        Role[match[2].upper()],
        unquote(match[3]),
        tuple(str(host) for host in hosts),
    )
    if subject.uri != uris[0]:  # one spelling each: two URIs are never the same identity
        raise BadCertificate("the certificate's identity is not in its one spelling")
    return subject


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise BadArgument(f"{host[:64]!r} is no host name or address", field="hosts") from None
        return x509.DNSName(host.lower())
