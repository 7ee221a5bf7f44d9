"""Issue a certificate anew while the service is stopped: the way back when every administrator's ended."""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography import x509

from qekm import pki
from qekm.audit import occurred
from qekm.certificates import Certificates
from qekm.configuration.settings import Settings
from qekm.errors import BadArgument, BadCertificate, BadConfiguration, StoreInUse, UnknownIdentity
from qekm.estate import Estate
from qekm.home import Home
from qekm.keypair import PublicKey, load_key
from qekm.model import Certificate, Change
from qekm.offline import commit
from qekm.pki import RandomBytes
from qekm.rpc.tls import Files, publish
from qekm.sealing import Sealer
from qekm.standing import doubt, open_store

ACTOR = "renew"  # in the audit trail: who has the root key and the store needs no certificate


def renew(
    home: Home,
    settings: Settings,
    sealer: Sealer,
    name: str,
    now_us: Callable[[], int],
    random_bytes: RandomBytes = os.urandom,
) -> Certificate:
    """Issue pki/NAME.pem anew for pki/NAME.key, with its role, name and hosts; returns the record.

    The one before is not revoked. The store is locked meanwhile: StoreInUse while the service runs.
    UnknownIdentity, UnknownCertificate, BadCertificate, BadArgument for what is no certificate to renew.
    """
    files = Files(home.certificate(name), home.key(name), home.trust)
    serial, key = _read(files, name)
    try:
        store = open_store(home, settings, sealer)
    except StoreInUse as error:
        hint = "while the service runs: qekm certificates renew; else stop it first: qekm server stop"
        raise StoreInUse(error.message, hint=hint, **error.details) from None
    try:
        found, ring = store.load(), store.ring
        server_pem = home.certificate("server").read_bytes()
        owner = Certificates(
            store.estate_id, found.vaults, found.certificates, server_pem, ring, now_us, random_bytes
        )
        issued, changes = owner.renew(key, serial)
        estate = Estate.load(found.vaults, found.settings, ring)
        _, doubts = doubt(store, found.settings, now_us(), ACTOR)
        commit(store, estate, [*doubts, *changes, _record(issued.record, serial, now_us())])
    finally:
        store.close()
    publish(files, issued.pem, owner.trust_pem)
    return issued.record


def _read(files: Files, name: str) -> tuple[str, PublicKey]:
    """Return the serial of the certificate that is there and the key to issue the new one for."""
    if "/" in name:
        raise BadArgument("a certificate is named as its file in pki, without .pem", field="name")
    try:
        leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        return pki.serial_of(leaf), load_key(files.key.read_bytes()).public_key()
    except FileNotFoundError as error:
        raise UnknownIdentity(f"there is no file {error.filename}") from None
    except OSError as error:
        raise BadConfiguration(f"cannot read {error.filename}: {error.strerror}") from None
    except ValueError:
        raise BadCertificate(f"{files.certificate} cannot be read as PEM") from None


def _record(issued: Certificate, serial: str, now_us: int) -> Change:
    who = f"{issued.role.name.lower()}/{issued.name}, serial {issued.serial} after {serial}"
    return occurred(now_us, "certificate.renew", ACTOR, message=who)
