"""What a new estate starts with."""

from __future__ import annotations

import os

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from qekm import keypair, pki
from qekm.founding import found
from qekm.model import Role
from qekm.subject import Subject, subject_of
from tests.fakes.pki import DAY_US, now_us

ESTATE = bytes(range(16))
SIGNER = keypair.make_key().public_key()


def test_every_file_is_what_its_name_says() -> None:
    founding = found(ESTATE, ["keys.example", "LOCALHOST", "10.1.2.3"], SIGNER, now_us(), os.urandom)
    hosts = ("localhost", "127.0.0.1", "::1", "keys.example", "10.1.2.3")
    by_serial = {record.serial: record for record in founding.records}
    for role in (Role.SERVER, Role.GATEWAY, Role.ADMINISTRATOR):
        name = role.name.lower()
        leaf = x509.load_pem_x509_certificate(founding.files[f"{name}.pem"])
        key = load_pem_private_key(founding.files[f"{name}.key"], None)
        own = hosts if role is not Role.ADMINISTRATOR else ()
        assert set(subject_of(leaf).hosts) == set(own)
        assert subject_of(leaf) == Subject(ESTATE, role, name, subject_of(leaf).hosts)
        assert key.public_key() == leaf.public_key()
        record = by_serial.pop(pki.serial_of(leaf))
        assert (record.role, record.name, record.revoke_time_us) == (role, name, 0)
        assert now_us() + 396 * DAY_US < record.expire_time_us <= now_us() + 397 * DAY_US
    assert not by_serial
    [trusted] = x509.load_pem_x509_certificates(founding.files["trust.pem"])
    assert trusted == founding.issuer.certificate
    assert founding.signer.public_key() == SIGNER


def test_two_estates_have_nothing_in_common() -> None:
    one, two = (found(ESTATE, [], SIGNER, now_us(), os.urandom) for _ in range(2))
    assert not set(one.files.values()) & set(two.files.values())
