"""What is wrong with a certificate, its key, and whom it trusts. Pure, but for `fits`.

Keys never come into Python: OpenSSL reads them from their files.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.errors import BadCertificate
from qekm.subject import subject_of

DAYS = (7, 30, 60)  # of which each more is less urgent
_MOST_DEEP = 4  # leaf, cross-signed, authority, and one more
_ESTATE = "Q-EKM estate "


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with what stands beside it: its name for people, its chain, whom it is to be believed by.

    role: which it must have, empty for that of any person. renewal: what makes another one.
    """

    name: str
    chain: Sequence[x509.Certificate]
    trust: Sequence[x509.Certificate]
    role: str
    renewal: str


def read_pem(content: bytes) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, none if they cannot be read."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        return []


def fits(certificate: Path, key: Path) -> Iterator[Seen]:
    """Yield why a key file is not of a certificate file; OSError for one that cannot be read."""
    for path in (certificate, key):
        with path.open("rb"):
            pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    restore = f"put back {key.name} and {certificate.name} from where they were made, or issue both anew"
    try:
        context.load_cert_chain(certificate, key, password="")  # only keeps OpenSSL from asking for one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield broken(f"the key {key} is not that of {certificate.name}", restore)
        else:
            yield broken(f"{certificate.name} and {key.name} cannot be used: {error.reason}", restore)
    except ValueError:
        yield broken(f"the key {key} is locked with a password", restore)


def judge(pair: Pair, now: datetime) -> Iterator[Seen]:
    """Yield what is wrong with a pair, the cause before what follows from it; else until when it is good."""
    leaf = pair.chain[0]
    found = [*_chained(pair), *_named(pair), *dated(pair.name, leaf, now, pair.renewal)]
    yield from found or [fine(f"{pair.name} until {leaf.not_valid_after_utc:%Y-%m-%d}")]


def dated(name: str, leaf: x509.Certificate, now: datetime, renewal: str) -> Iterator[Seen]:
    """Yield that a certificate is not valid now, or not for long."""
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < start:
        told = f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
        yield broken(told, "compare this machine's clock: date -u; if it is right, " + renewal)
    elif now >= end:
        told = f"{name} has ended on {end:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
        yield broken(told, renewal)
    else:
        days = (end - now).days
        within = next((most for most in DAYS if days < most), 0)
        if within:
            yield doubtful(f"{name} ends in {days} days, on {end:%Y-%m-%d} (within {within})", renewal)


def _chained(pair: Pair) -> Iterator[Seen]:
    """Yield that no authority in the trust file vouches for the leaf."""
    if not leads_to(pair.chain, pair.trust):
        issuer = _common_name(pair.chain[0].issuer)
        told = f"{pair.name} is from the authority {issuer}, which trust.pem does not have"
        yield broken(
            told, "put back the trust.pem of this key manager: qekm certificates trust prints it there"
        )


def leads_to(chain: Sequence[x509.Certificate], trust: Iterable[x509.Certificate]) -> bool:
    """Tell whether a chain's first certificate is signed, over the others, by a trusted one; no dates."""
    anchors, at, between = list(trust), chain[0], list(chain[1:])
    for _ in range(_MOST_DEEP):
        if at in anchors or any(_signed(at, each) for each in anchors):
            return True
        above = next((each for each in between if _signed(at, each)), None)
        if above is None:
            return False
        between.remove(above)
        at = above
    return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _named(pair: Pair) -> Iterator[Seen]:
    """Yield that the leaf names another role than it has to, or another estate than its authority."""
    try:
        subject = subject_of(pair.chain[0])
    except BadCertificate as error:
        yield broken(f"{pair.name}: {error.message}", pair.renewal)
        return
    role = subject.role.name.lower()
    if pair.role and role != pair.role:
        yield broken(f"{pair.name} is a certificate of the role {role}, not {pair.role}", pair.renewal)
    estates = estates_of(pair.trust)
    if estates and subject.estate.hex() not in estates:
        yield broken(f"{pair.name} is of another estate, {subject.estate.hex()[:8]}", pair.renewal)


def estates_of(trust: Iterable[x509.Certificate]) -> set[str]:
    """Return the estates that authorities name, hex."""
    names = (each.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME) for each in trust)
    return {str(name.value).removeprefix(_ESTATE) for found in names for name in found}


def hosts_of(leaf: x509.Certificate) -> list[str]:
    """Return the host names and addresses that a certificate is good for."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return []
    return [str(each.value) for each in names if isinstance(each, x509.DNSName | x509.IPAddress)]


def covers(hosts: Iterable[str], host: str) -> bool:
    """Tell whether one of a certificate's names is that of a host: ours have no wildcards (RFC 9525)."""
    return any(_canonical(each) == _canonical(host) for each in hosts)


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)[:80] if found else "without a name"


def as_time(time_s: float) -> datetime:
    """Return a moment from seconds since 1970."""
    return datetime.fromtimestamp(time_s, UTC)
