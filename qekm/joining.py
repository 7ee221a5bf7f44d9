"""Make the home of a server that joins an estate: nothing of it before it is let in, then all of it.

Two things are this server's own from the start: its trail, with a key of its own, and its instance, which the
accepting server drew. Keys, drives and the rest come by replication, as soon as it is started.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from qekm import pki
from qekm.audit import occurred
from qekm.building import built
from qekm.certificates import AUTHORITY, CROSS, record_of
from qekm.configuration.remote import Remote, write_remote
from qekm.configuration.settings import Settings, write_defaults
from qekm.durable import create
from qekm.errors import PeerRefused, QekmError
from qekm.estate import Estate
from qekm.founding import first_leaf
from qekm.home import Home
from qekm.invitation import Invitation
from qekm.keypair import check_key, dump_key, make_key, make_request
from qekm.model import Certificate, Change, Entry, Peer, Role, Setting, Slot, Vault
from qekm.pki import Issuer, RandomBytes
from qekm.properties import PROPERTIES
from qekm.properties.listeners import SSL_PORT
from qekm.sealing import KeyFileSealer, KeyRing
from qekm.secret import Secret
from qekm.signing import spki_sha256
from qekm.store import CURRENT, FULL, JOURNAL, OLDEST, SHARED, TABLES, Store
from qekm.subject import subject_of
from qekm.welcome import Welcome, Wrapping, public

ACTOR = "join"  # in the new trail: nobody is known here yet
_ADMINISTRATOR = Role.ADMINISTRATOR, "administrator"  # whose certificate a home begins with

Ask = Callable[[bytes, bytes], Welcome]
"""Returns the welcome for a certificate request and a wrapping key, once somebody has accepted both."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is invited, and what settings the home shall have beside those that all servers have in common."""

    invitation: Invitation
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Joined:
    """What was made."""

    name: str
    estate_id: bytes
    instance: bytes
    anchor: bytes  # SHA-256 of the key that signs for drives: the estate's
    administrator: bool  # whether the home has an administrator's certificate


def join(
    home: Home,
    wanted: Wanted,
    confirm: Callable[[bytes], None],
    ask: Ask,
    now_us: Callable[[], int],
    random_bytes: RandomBytes = os.urandom,
) -> Joined:
    """Make a server's home in `home` once the estate lets it in; what fails on the way leaves nothing.

    confirm: called with the SHA-256 of the new server's public key before anything is asked; it raises what
    shall end the attempt. Raises HomeExists, PeerRefused, BadConfiguration, and what `ask` raises.
    """
    with built(home) as new:
        key, wrapping = make_key(), X25519PrivateKey.generate()
        confirm(spki_sha256(key.public_key()))
        welcome = ask(make_request(key), public(wrapping))
        root, slots = Wrapping(welcome.estate_id, wanted.invitation.subject.name).unwrap(
            welcome.wrapped, wrapping, welcome.wrapping_key
        )
        with root:
            newcomer = Newcomer(new, wanted, welcome, now_us, random_bytes)
            return newcomer.fill(key, root, slots)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Puts what an estate welcomes with into a home that is being built."""

    new: Home
    wanted: Wanted
    welcome: Welcome
    now_us: Callable[[], int]
    random_bytes: RandomBytes

    def fill(self, key: EllipticCurvePrivateKey, root: Secret, slots: list[Slot]) -> Joined:
        """Write settings, certificates and the store; PeerRefused for a welcome that does not fit."""
        welcome, name = self.welcome, self.wanted.invitation.subject.name
        self._check_certificate(key, name)
        nouns = list(_nouns(welcome))
        vaults = {each.name: each for each in nouns if isinstance(each, Vault)}
        rows = (each for each in nouns if isinstance(each, Peer))
        own = next((each for each in rows if each.name == name), None)
        if own is None or welcome.estate_id != self.wanted.invitation.subject.estate:
            raise PeerRefused("the welcome is not of the estate that has invited this server", peer=name)
        versions = welcome.record_versions
        ring = KeyRing(root, welcome.estate_id, versions=versions, random_bytes=self.random_bytes)
        estate, own_vault = Estate.newcomer(vaults, own.instance, ring, self.random_bytes)
        known = [each for each in nouns if isinstance(each, Certificate)]
        leaves, files = self._leaves(name, vaults, known, ring)
        self._write(key, files, estate)
        record = occurred(self.now_us(), "peer.join", ACTOR, message=f"server {name} of a running estate")
        first: list[Change] = [*estate.settings(), Setting(CURRENT, str(versions[-1]))]
        first += [Setting(OLDEST, str(versions[0])), Setting(JOURNAL, FULL), *slots, self._key_file(root)]
        entries = [line.entry for line in welcome.lines]
        entries += [Entry(TABLES[Certificate], each.serial, self.now_us(), own.instance) for each in leaves]
        changes = [*first, own_vault, *nouns, *leaves, *entries, record]
        Store.create(self.new.store, ring.estate_id, ring.seals, changes, sign_head=estate.audit_key.sign)
        self._prove(ring)
        return Joined(name, ring.estate_id, own.instance, estate.anchor, len(leaves) > 1)

    def _check_certificate(self, key: EllipticCurvePrivateKey, name: str) -> None:
        """Raise PeerRefused unless the certificate is of our key and names this server."""
        try:
            leaf = x509.load_pem_x509_certificate(self.welcome.certificate)
            subject = subject_of(leaf)
            ours = spki_sha256(key.public_key()) == spki_sha256(check_key(leaf.public_key()))
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, QekmError):
            raise PeerRefused("the welcome has no certificate that can be read", peer=name) from None
        if not ours or (subject.role, subject.name) != (Role.SERVER, name):
            raise PeerRefused("the certificate in the welcome is another server's", peer=name)

    def _leaves(
        self, name: str, vaults: Mapping[str, Vault], known: Iterable[Certificate], ring: KeyRing
    ) -> tuple[list[Certificate], dict[str, bytes]]:
        """Issue what else a home needs, as init does: a gateway's certificate and an administrator's.

        The estate's authority came with the welcome. An administrator whose certificates were all revoked
        gets none here either.
        """
        issuer = Issuer.load(vaults[AUTHORITY].certificate, ring.open_vault(vaults[AUTHORITY]))
        hosts, leaves, files = self.wanted.invitation.subject.hosts, list[Certificate](), dict[str, bytes]()
        wanted = [(Role.GATEWAY, name)]
        if any((e.role, e.name) == _ADMINISTRATOR and not e.revoke_time_us for e in known):
            wanted.append(_ADMINISTRATOR)
        for role, whose in wanted:
            leaf, key = first_leaf(
                issuer, ring.estate_id, role, hosts, self.now_us(), self.random_bytes, whose
            )
            leaves.append(record_of(leaf, issuer))
            file = role.name.lower()
            files |= {f"{file}.pem": pki.pem(leaf) + self._cross(vaults, ring), f"{file}.key": key}
        return leaves, files

    def _cross(self, vaults: Mapping[str, Vault], ring: KeyRing) -> bytes:
        """Return what follows a leaf during a roll-over of the authority."""
        if CROSS not in vaults or not vaults[CROSS].sealed:
            return b""
        return pki.pem(x509.load_der_x509_certificate(ring.open_vault(vaults[CROSS]).reveal()))

    def _write(self, key: EllipticCurvePrivateKey, files: Mapping[str, bytes], estate: Estate) -> None:
        """Write settings and certificates; UnknownProperty, BadConfiguration."""
        own = {"trust.pem": self.welcome.trust, "server.pem": self.welcome.certificate}
        own |= {"server.key": dump_key(key), self.new.audit_key.name: estate.audit_public_pem}
        for name, content in {**own, **files}.items():
            create(self.new.pki / name, content)
        shared = {name: text for name, text in self.welcome.properties.items() if name in PROPERTIES}
        properties = {**shared, **self.wanted.properties, "keystore.slot": KeyFileSealer.kind}
        write_defaults(self.new.config, properties)
        settings = Settings.load(self.new.config, {})
        write_remote(self.new.client_config, Remote(port=settings[SSL_PORT]))

    def _key_file(self, root: Secret) -> Slot:
        """Make this machine's key file and return its slot."""
        sealer = KeyFileSealer(self.new.root_key, random_bytes=self.random_bytes)
        sealer.create()
        return Slot(sealer.kind, sealer.seal(root), sealer.kind, self.now_us())

    def _prove(self, ring: KeyRing) -> None:
        """Open the new store as a start does; StoreDamaged."""
        with closing(Store.open(self.new.store, lambda _locked: ring)) as store:
            found = store.load()
            Estate.load(found.vaults, found.settings, ring)


def _nouns(welcome: Welcome) -> Iterable[Any]:
    """Yield what the rows of a welcome say; PeerRefused for those of another release or of no sense."""
    for line in welcome.lines:
        shared = SHARED.get(line.table)
        if shared is None or welcome.columns.get(line.table) != shared.columns:
            hint = "install the release that the estate's other servers have, join, then upgrade"
            raise PeerRefused(f"the estate's table {line.table!r:.40} is of another release", hint=hint)
        try:
            yield shared.of_row(line.values)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise PeerRefused(f"the welcome has a row of {line.table} that cannot be") from error
