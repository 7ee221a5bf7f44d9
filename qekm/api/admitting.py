"""How a server comes into the estate, and goes: its certificates, its row, and what it is welcomed with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from qekm.api.candidates import Candidate
from qekm.certificates import Issued
from qekm.configuration.settings import Settings
from qekm.errors import BadArgument
from qekm.founding import everywhere_of
from qekm.invitation import Invitation
from qekm.keypair import check_key, dump_key, make_key
from qekm.model import Certificate, Change, Peer, PeerState, Role
from qekm.owners import Owners
from qekm.peers import address_at, is_local
from qekm.pki import RandomBytes
from qekm.sealing import PasswordSealer, SharesSealer
from qekm.secret import Secret
from qekm.signing import spki_sha256
from qekm.store import Store
from qekm.store.shared import SHARED
from qekm.subject import check_hosts, subject_of
from qekm.welcome import TABLES, Welcome, Wrapping, public

_ANYWHERE = (PasswordSealer.kind, SharesSealer.kind)  # kinds of slots that belong to no machine
_INSTANCE_LENGTH = 8
_DAYS = 1  # that an invitation may be used


@dataclass(frozen=True, slots=True)
class Admitting:
    """Puts the owners' parts together; what a method returns is to be committed by its caller."""

    owners: Owners
    store: Store
    settings: Settings
    ssl_port: Callable[[], int]
    now_us: Callable[[], int]
    random_bytes: RandomBytes

    @property
    def own_certificate(self) -> x509.Certificate:
        """Return the certificate that this server shows."""
        return x509.load_pem_x509_certificate(self.owners.certificates.server_pem)

    def own_address(self, told: str) -> str:
        """Return where others find this server's SSL port; BadArgument if nothing tells, or it cannot be."""
        own, names = self.owners.peers.own, subject_of(self.own_certificate).hosts
        if known := told or (own.address if own is not None else ""):
            host = known.rpartition(":")[0].removeprefix("[").removesuffix("]")
            if not set(check_hosts(Role.SERVER, [host])) <= set(names):
                what = f"{host} is no name in this server's certificate, so nobody would believe it there"
                raise BadArgument(what, hint=f"it has {', '.join(names)}", field="own_address")
            return known
        host = next((each for each in names if not is_local(each)), "")
        if not host or not self.ssl_port():
            what = "nothing tells how another server reaches this one's SSL port"
            raise BadArgument(what, hint="say it: --own-address HOST:PORT", field="own_address")
        return address_at(host, self.ssl_port())

    def check(self, name: str, hosts: Sequence[str]) -> None:
        """Raise what keeps a server from being invited: PeerExists, BadArgument."""
        self.owners.peers.check_new(name, self.now_us())
        self.owners.certificates.check(Role.CANDIDATE, name, hosts, _DAYS)

    def invite(
        self, name: str, hosts: Sequence[str], address: str, own_address: str
    ) -> tuple[Invitation, list[Change]]:
        """Make an invitation; errors as `check`."""
        key, own, now_us = make_key(), self.own_certificate, self.now_us()
        certificates, peers = self.owners.certificates, self.owners.peers
        self.check(name, hosts)
        issued, changes = certificates.issue(key.public_key(), Role.CANDIDATE, name, hosts, _DAYS)
        fingerprint = spki_sha256(check_key(own.public_key()))
        changes += peers.found(own_address, self.owners.estate.epoch, fingerprint, now_us)
        changes.append(peers.invite(name, address, now_us))
        leaf = x509.load_pem_x509_certificate(issued.pem)
        return Invitation(own_address, own, leaf, Secret(dump_key(key))), changes

    def accept(self, candidate: Candidate) -> tuple[Peer, Issued, list[Change]]:
        """Make a server of the estate of one that waits; NotWaiting, UnknownPeer."""
        name, certificates = candidate.identity.name, self.owners.certificates
        hosts = everywhere_of(certificates.by_serial(candidate.identity.serial).hosts)
        instance = self.random_bytes(_INSTANCE_LENGTH)
        peer = self.owners.peers.accept(name, instance, candidate.spki_sha256, self.now_us())
        issued, changes = certificates.issue(candidate.key, Role.SERVER, name, hosts, 0)
        return peer, issued, [*changes, peer]

    def wrapped(self, candidate: Candidate, root: Secret) -> tuple[bytes, bytes]:
        """Return what only the candidate can open, and the public key that it needs for that; PeerRefused."""
        own, slots = X25519PrivateKey.generate(), [s for s in self.owners.slots if s.kind in _ANYWHERE]
        wrapping = Wrapping(self.owners.estate_id, candidate.identity.name)
        return wrapping.wrap(root, slots, own, candidate.wrapping_key), public(own)

    async def welcome(self, issued: Issued, wrapped: bytes, wrapping_key: bytes) -> Welcome:
        """Put together what a server begins with, as it is on the disk now."""
        lines = await asyncio.to_thread(self.store.journal_of, TABLES)
        ring, settings = self.store.ring, self.settings
        return Welcome(
            certificate=issued.pem,
            trust=self.owners.certificates.trust_pem,
            estate_id=self.owners.estate_id,
            wrapping_key=wrapping_key,
            wrapped=wrapped,
            columns={name: SHARED[name].columns for name in TABLES},
            lines=tuple(line for line in lines if not line.removed),
            record_versions=tuple(sorted(ring.versions)),
            properties={name: settings.text(name) for name, item in settings.table.items() if item.shared},
        )

    def remove(self, name: str) -> tuple[Peer, list[Certificate]]:
        """Let a server go, and refuse its certificates; UnknownPeer, BadArgument for this one itself."""
        joined = self.owners.peers.find(name).state is PeerState.JOINED
        peer = self.owners.peers.remove(name)
        roles = (Role.CANDIDATE, Role.SERVER, Role.GATEWAY) if joined else (Role.CANDIDATE,)
        return peer, [each for role in roles for each in self.revoked(role, name)]

    def revoked(self, role: Role, name: str) -> list[Certificate]:
        """Refuse all certificates of a role and name from now on."""
        certificates = self.owners.certificates
        serial = next(
            (e.serial for e in certificates if (e.role, e.name) == (role, name) and not e.revoke_time_us), ""
        )
        return certificates.revoke(serial)[1] if serial else []
