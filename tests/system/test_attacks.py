"""Every attack that the protocol answers, tried on the real service and gateway or on a real drive session.

Each is refused with the code that the protocol names, sets no key, and leaves the key manager serving: after
every test a good exchange of the same drive must succeed.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from qekm.dkp.codes import Code
from qekm.dkp.frame import MessageType
from qekm.dkp.pages import public_key_page
from qekm.dkp.signed import dsk_signed_bytes, join_dsk_list
from qekm_gateway.simulator.anchors import Anchors, Untrusted
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.signatures import Signer
from tests.fakes.key_manager import KeyManager
from tests.system.attacking import (
    OTHER,
    SERIAL,
    Site,
    forger,
    now_us,
    numbers,
    on,
)

# What follows is refused for what it says, and for nothing else: without an attack the same means are served.


def test_a_copied_drive_and_an_idle_interceptor_are_served(site: Site) -> None:
    assert site.ask(forger(site.drive)).confirmed
    assert site.cut().confirmed
    assert site.cut(from_drive=on(MessageType.KEY_STATUS, lambda frame: frame)).confirmed


# Rogue servers: the drive must not believe them.


def test_a_rogue_server_gets_no_answer_from_a_drive(site: Site) -> None:
    rogue = KeyManager()
    with rogue.listening() as port, pytest.raises(Untrusted, match="no anchor"):
        site.ask(port=port)
    assert site.drive.key is None


def test_a_rogue_server_with_a_ca_of_the_same_name_gets_none_either(site: Site) -> None:
    rogue = KeyManager()
    genuine = site.anchors.authorities[0].public_bytes(Encoding.DER)
    rogue.chain = (*rogue.chain, genuine)
    with rogue.listening() as port, pytest.raises(Untrusted):
        site.ask(port=port)
    assert site.drive.key is None


@pytest.mark.parametrize("name", ["gateway", "administrator"])
def test_a_stolen_certificate_of_the_estate_is_no_servers(site: Site, name: str) -> None:
    """Whoever took over the gateway holds its key, and still cannot hand a key to a drive."""
    leaf = x509.load_pem_x509_certificate(site.estate.home.certificate(name).read_bytes())
    private = load_pem_private_key(site.estate.home.key(name).read_bytes(), None)
    thief = KeyManager(private=private)  # type: ignore[arg-type]
    thief.chain = (leaf.public_bytes(Encoding.DER),)
    with thief.listening() as port, pytest.raises(Untrusted, match="extended key usage"):
        site.ask(port=port)
    assert site.drive.key is None


def test_another_drives_certificate_is_no_servers_even_to_who_trusts_its_authority(site: Site) -> None:
    thief = KeyManager(private=site.other.signer.private)  # type: ignore[arg-type]
    thief.chain = site.other.certificates
    trusting = replace(site, anchors=Anchors(authorities=[site.authority.certificate]))
    with thief.listening() as port, pytest.raises(Untrusted, match="extended key usage"):
        trusting.ask(port=port)
    assert site.drive.key is None


# Forged drives: the service must not serve them.


def test_another_drives_wwnn_is_ee25(site: Site) -> None:
    assert site.refused(forger(site.drive, wwnn=site.other.wwnn)) == Code.EE25


def test_another_drives_serial_is_ee2b(site: Site) -> None:
    stolen = forger(site.other, serial=SERIAL, wwnn=site.drive.wwnn)
    assert site.refused(stolen) == Code.EE2B


def test_another_drives_session_key_is_ee2b(site: Site) -> None:
    assert site.refused(forger(site.drive, session_key=site.other.session_key)) == Code.EE2B


def test_a_session_key_that_the_drive_signed_for_another_serial_is_ee2b(site: Site) -> None:
    made = site.drive.session_key
    assert made is not None
    page = public_key_page(numbers(made).n, numbers(made).e)
    signature = site.drive.signer.sign(dsk_signed_bytes(OTHER.encode(), 1, page))
    listed = join_dsk_list(1, page, site.drive.signer.type, signature)
    assert site.refused(forger(site.drive, session_key=replace(made, dsk_list=listed))) == Code.EE2B


def test_a_new_certificate_for_a_known_serial_is_ee25_until_an_administrator_unpins_it(site: Site) -> None:
    """The authority was tricked into naming the serial twice; the key pinned at the first exchange holds."""
    twin = make_drive(site.authority, SERIAL, now_us(), site.drive.wwnn)
    assert site.refused(twin) == Code.EE25


def test_a_certificate_of_another_authority_is_ee2b(site: Site) -> None:
    assert site.refused(make_drive(make_authority(now_us()), SERIAL, now_us(), site.drive.wwnn)) == Code.EE2B


def test_a_servers_certificate_is_no_drives(site: Site) -> None:
    chain = (x509.load_pem_x509_certificate(site.estate.home.certificate("server").read_bytes()),)
    private = load_pem_private_key(site.estate.home.key("server").read_bytes(), None)
    signer = Signer(private)  # type: ignore[arg-type]
    certificates = tuple(item.public_bytes(Encoding.DER) for item in chain)
    thief = forger(site.drive, signer=signer, certificates=certificates, session_key=None)
    assert site.refused(thief) == Code.EE2B


# Keys that cost more to check than to send.


@pytest.mark.parametrize("exponent", [1, 3, 65536, 2**32 + 1, 2**2047 + 1], ids=int.bit_length)
def test_a_session_key_of_a_strange_exponent_is_ee2c(site: Site, exponent: int) -> None:
    made = site.drive.session_key
    assert made is not None
    page = public_key_page(numbers(made).n, exponent)
    signature = site.drive.signer.sign(dsk_signed_bytes(SERIAL.encode(), 1, page))
    listed = join_dsk_list(1, page, site.drive.signer.type, signature)
    begun = time.monotonic()
    assert site.refused(forger(site.drive, session_key=replace(made, dsk_list=listed))) == Code.EE2C
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("bits", [33, 2000])
def test_a_drive_certificate_of_a_huge_exponent_is_ee2b_without_arithmetic(site: Site, bits: int) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    huge = rsa.RSAPublicNumbers(2**bits + 1, private.public_key().public_numbers().n).public_key()

    class Holder:
        """Stands for a private key where only its public half is asked for."""

        def public_key(self) -> rsa.RSAPublicKey:
            return huge

    certificate = site.authority.issue(SERIAL, Holder(), now_us())  # type: ignore[arg-type]
    thief = forger(site.drive, signer=Signer(private), certificates=(certificate,), session_key=None)
    begun = time.monotonic()
    assert site.refused(thief) == Code.EE2B
    assert time.monotonic() - begun < 1.5


def test_a_chain_of_four_huge_certificates_costs_nothing(site: Site) -> None:
    chain = (*site.drive.certificates, *(os.urandom(4096) for _ in range(3)))
    begun = time.monotonic()
    assert site.refused(forger(site.drive, certificates=chain)) in {Code.EE2B, Code.EE23}
    assert time.monotonic() - begun < 1
