"""Owner of the internal authority and of what it issued: certificates, the deny list, the roll-over.

Pure: memory in, changes out. What a method returns is already true in memory, and the caller commits it
before it tells anyone. An authority's key exists in one place, the vault "ca". A roll-over overwrites it:
from then on nothing is issued in the old authority's name, which stays trusted until the roll-over's end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography import x509

from qekm import pki
from qekm.authorities import AUTHORITY, CROSS, OLD, SIGNER, Authorities, Ring
from qekm.denylist import DenyList
from qekm.errors import BadArgument, LastAdministrator, RolloverState, StoreDamaged, UnknownCertificate
from qekm.keypair import PublicKey, check_key
from qekm.model import Certificate, Change, Role, Vault
from qekm.pki import Issuer, RandomBytes
from qekm.subject import Subject, check_hosts, check_name, subject_of

__all__ = ["AUTHORITY", "CROSS", "OLD", "SIGNER", "Certificates", "Issued", "Ring", "record_of"]

_RENEW_SERVER_US = 30 * 86_400 * 1_000_000  # the service renews its own leaf this long before it ends


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate: its record, and its holder's PEM file (during a roll-over a chain, leaf first)."""

    record: Certificate
    pem: bytes


class Certificates(Authorities):
    """The authority in force, perhaps one on its way out, and every certificate they issued."""

    def __init__(
        self,
        estate: bytes,
        vaults: Mapping[str, Vault],
        records: Iterable[Certificate],
        server_pem: bytes,
        ring: Ring,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> None:
        """Take the store's vaults and records and the file server.pem; StoreDamaged if they make no sense."""
        self._estate = estate
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._records = {record.serial: record for record in records}
        self.denied = DenyList(each.serial for each in self._records.values() if each.revoke_time_us)
        try:
            super().__init__(vaults, ring)
            self._server = x509.load_pem_x509_certificate(server_pem)
        except (KeyError, ValueError) as error:
            raise StoreDamaged("the internal authority cannot be read") from error

    def __iter__(self) -> Iterator[Certificate]:
        return iter(self._records.values())

    # What is in force.

    @property
    def server_pem(self) -> bytes:
        """Return the service's own certificate, PEM, leaf first: the file server.pem."""
        return self.chain(self._server)

    @property
    def server_name(self) -> str:
        """Return the name in the service's own certificate: what the estate's other servers call it."""
        return subject_of(self._server).name

    def outdated(self) -> list[Certificate]:
        """Return the certificates in force that the old authority issued, newest first."""
        own = pki.fingerprint(self._issuer.certificate)
        return [each for each in self._newest() if each.authority != own and self._in_force(each)]

    def by_serial(self, serial: str) -> Certificate:
        """Return one record; UnknownCertificate else."""
        record = self._records.get(serial.lower())
        if record is None:
            raise UnknownCertificate(f"no certificate has the serial {serial[:64]!r}", serial=serial[:64])
        return record

    def page(self, after: str, limit: int) -> list[Certificate]:
        """Return at most `limit` records, newest first, after that of a serial (empty: from the first)."""
        records = self._newest()
        start = next((i for i, each in enumerate(records, 1) if each.serial == after), 0)
        return records[start : start + limit]

    # What changes.

    def issue(
        self, key: PublicKey, role: Role, name: str, hosts: Sequence[str], days: int
    ) -> tuple[Issued, list[Change]]:
        """Issue a certificate; days: 1 to 825, or 0 for the default. BadArgument names what cannot be."""
        return self._issue(key, self.check(role, name, hosts, days), days or pki.LEAF_DAYS)

    def check(self, role: Role, name: str, hosts: Sequence[str], days: int) -> Subject:
        """Return whom a certificate would name, without issuing it; BadArgument as `issue`."""
        if not 0 <= days <= pki.LEAF_DAYS_MAX:
            raise BadArgument(f"a certificate is valid for 1 to {pki.LEAF_DAYS_MAX} days", field="days")
        return Subject(self._estate, role, check_name(name), check_hosts(role, hosts))

    def renew(self, key: PublicKey, serial: str) -> tuple[Issued, list[Change]]:
        """Issue a certificate of the same role, name and hosts; the one before stays valid.

        One of the service's own identity and key is what it shows from now on: else the next look at it would
        put the one before, which may be revoked by then, in its place.
        """
        record = self.by_serial(serial)
        if record.revoke_time_us:
            raise BadArgument(f"the certificate {serial} was revoked; issue a new one", field="serial")
        subject = Subject(self._estate, record.role, record.name, record.hosts)
        issued, changes = self._issue(key, subject, pki.LEAF_DAYS)
        if subject == subject_of(self._server) and key == self._server.public_key():
            self._server = x509.load_pem_x509_certificate(issued.pem)
        return issued, changes

    def revoke(self, serial: str, *, only_this: bool = False) -> tuple[Certificate, list[Certificate]]:
        """Refuse a certificate from now on, and with it all of its role and name that have not ended.

        Whoever stole one may have renewed it, so `only_this` is for who knows that the others are in good
        hands. Returns the record as it is now, and all that this call revoked, newest first; again is no
        error. LastAdministrator if nobody would remain.
        """
        record = self.by_serial(serial)
        ending = [each for each in self._newest() if self._ends_with(each, record, only_this)]
        if ending:
            self._keep_administrator(without={each.serial for each in ending})
        revoked = [self._revoke(each) for each in ending]
        return self._records[record.serial], revoked

    def start_rollover(self) -> list[Change]:
        """Make a new authority, which issues from now on, first of all the service's own certificate."""
        if self.rolling:
            raise RolloverState(
                "a roll-over is under way", hint="finish it first: qekm certificates rollover finish"
            )
        new = pki.make_issuer(self._estate, self._now_us(), self._random_bytes)
        self._cross = self._issuer.cross_sign(new.certificate, self._random_bytes)
        self._old, self._issuer = self._issuer.certificate, new
        with new.dump_key() as key:
            sealed = self._ring.seal_vault(AUTHORITY, key.reveal())
        return [
            Vault(AUTHORITY, sealed, pki.der(new.certificate)),
            Vault(OLD, self._ring.seal_vault(OLD, pki.der(self._old)), b""),
            Vault(CROSS, self._ring.seal_vault(CROSS, pki.der(self._cross)), b""),
            *self._issue_server(),
        ]

    def finish_rollover(self, *, force: bool) -> list[Change]:
        """End trust in the old authority; what it issued is revoked.

        RolloverState if none is under way or certificates of the old authority are in force, unless forced.
        The signer's certificate is issued anew for the same key: drives' anchors on the key never notice.
        """
        if not self.rolling:
            raise RolloverState("no roll-over is under way")
        left = self.outdated()
        if left and not force:
            names = ", ".join(f"{each.role.name.lower()}/{each.name}" for each in left[:5])
            raise RolloverState(
                f"{len(left)} certificates of the old authority are in force: {names}",
                hint="renew them with: qekm certificates renew NAME --revoke-old; or finish with --force",
                count=str(len(left)),
            )
        self._keep_administrator(without={each.serial for each in left})
        self._old = self._cross = None
        key = x509.load_der_x509_certificate(self._signer.certificate).public_key()
        signer = self._issuer.issue_signer(check_key(key), self._now_us(), self._random_bytes)
        self._signer = replace(self._signer, certificate=pki.der(signer))
        gone = [Vault(OLD, b"", b""), Vault(CROSS, b"", b"")]
        return [*gone, self._signer, *(self._revoke(each) for each in left)]

    def refresh_server(self) -> list[Change]:
        """Issue the service's own certificate anew unless it is this authority's and holds for 30 days more.

        To be called at start and daily. It also mends a crash between a roll-over's commit and its files, and
        a renewal by a date that was wrong: what begins in years to come is of no use.
        """
        record = self._records.get(pki.serial_of(self._server))
        current = record is not None and record.authority == pki.fingerprint(self._issuer.certificate)
        now_us = self._now_us()
        lasts = pki.start_us(self._server) <= now_us < pki.end_us(self._server) - _RENEW_SERVER_US
        return [] if current and lasts else self._issue_server()

    # Parts of the above.

    def _issue(self, key: PublicKey, subject: Subject, days: int) -> tuple[Issued, list[Change]]:
        leaf = self._issuer.issue(subject, key, self._now_us(), days, self._random_bytes)
        record = self._records[pki.serial_of(leaf)] = record_of(leaf, self._issuer)
        return Issued(record, self.chain(leaf)), [record]

    def _issue_server(self) -> list[Change]:
        """Replace the service's own leaf by one for the same key and hosts; the one before is refused.

        Unless it has no validity by our date: that may be wrong, and others go on seeing a good certificate.
        """
        before = subject_of(self._server)
        key = check_key(self._server.public_key())
        issued, changes = self._issue(key, before, pki.LEAF_DAYS)
        valid = pki.start_us(self._server) <= self._now_us() < pki.end_us(self._server)
        replaced = self._records.get(pki.serial_of(self._server)) if valid else None
        self._server = x509.load_pem_x509_certificate(issued.pem)
        return changes + ([self._revoke(replaced)] if replaced else [])

    def take(self, row: Certificate | Vault) -> None:
        """Take a record or a vault as another server has it; StoreDamaged, ValueError for no authority."""
        if isinstance(row, Vault):
            self._open(row)
            return
        self._records[row.serial] = row
        if row.revoke_time_us:
            self.denied.add(row.serial)

    def _revoke(self, record: Certificate) -> Certificate:
        revoked = self._records[record.serial] = replace(record, revoke_time_us=self._now_us())
        self.denied.add(record.serial)
        return revoked

    def _keep_administrator(self, without: set[str]) -> None:
        if not any(
            each.role is Role.ADMINISTRATOR and self._in_force(each) and each.serial not in without
            for each in self._records.values()
        ):
            raise LastAdministrator("no administrator's certificate would be left in force")

    def _ends_with(self, each: Certificate, revoked: Certificate, only_this: bool) -> bool:
        """Tell whether a certificate is to be revoked together with another, or is that one."""
        if each.revoke_time_us or each.serial == revoked.serial:
            return not each.revoke_time_us
        same = (each.role, each.name) == (revoked.role, revoked.name)
        return same and not only_this and self._now_us() < each.expire_time_us

    def _in_force(self, record: Certificate) -> bool:
        return not record.revoke_time_us and record.start_time_us <= self._now_us() < record.expire_time_us

    def _newest(self) -> list[Certificate]:
        return sorted(self._records.values(), key=lambda each: (-each.start_time_us, each.serial))


def record_of(leaf: x509.Certificate, issuer: Issuer) -> Certificate:
    """Return the record of a leaf that an authority issued."""
    subject = subject_of(leaf)
    return Certificate(
        serial=pki.serial_of(leaf),
        role=subject.role,
        name=subject.name,
        start_time_us=pki.start_us(leaf),
        expire_time_us=pki.end_us(leaf),
        authority=pki.fingerprint(issuer.certificate),
        hosts=subject.hosts,
    )
