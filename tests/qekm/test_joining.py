"""The home of a server that joins: what it begins with, what is its own, what keeps it from being made."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from ssl import DER_cert_to_PEM_cert, PEM_cert_to_DER_cert
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from qekm import keypair, pki
from qekm.building import built
from qekm.checking import check
from qekm.client import connect_async
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.errors import HomeExists, QekmError
from qekm.home import Home
from qekm.joining import Newcomer, Wanted, join
from qekm.model import Role
from qekm.reissuing import reissue
from qekm.rpc.welcomes import of_proto, to_proto
from qekm.sealing import KeyFileSealer, PasswordSealer
from qekm.secret import Secret
from qekm.store import Store
from qekm.trail import read_public_key, verify
from qekm.unlocking import unlock
from qekm.v1 import certificates_pb2, configuration_pb2, keystore_pb2, slots_pb2
from qekm.welcome import TABLES, Welcome, Wrapping
from tests.qekm.api.joiners import accept, alone, invited, joined, joiner
from tests.qekm.api.people import have
from tests.qekm.api.running import FREE_PORTS, Running, collect

PASSWORD = b"a long way home"


def opened(home: Home) -> Store:
    """Return the store of a home, opened with its key file."""
    return Store.open(home.store, unlock(KeyFileSealer(home.root_key)))


async def with_a_password(run: Running) -> None:
    """Give the keystore a password."""
    proof = slots_pb2.Proof(key_file=run.home.root_key.read_bytes())
    await run.client.slots.CreateSlot(slots_pb2.CreateSlotRequest(proof=proof, password=PASSWORD))


async def test_a_home_is_whole_and_begins_with_the_same_rows_bit_for_bit(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        await with_a_password(run)
        made = await joined(run, tmp_path / "b")
        home = Home(tmp_path / "b")
        home.require()
        before = {name: run.store.bucket_sums(name) for name in TABLES}
    settings = Settings.load(home.config, {})
    found = check(home, settings, KeyFileSealer(home.root_key), lambda _rows: None)
    assert (found.flaws, found.behind) == ((), "")
    with closing(opened(home)) as store:
        for name in set(TABLES) - {"certificates"}:  # of which this server has made two for itself
            assert store.bucket_sums(name) == before[name], name
        rows = store.load()
        assert made.instance.hex() == rows.settings["server.instance"]
        assert {slot.kind for slot in rows.slots} == {"password", "key-file"}
        assert rows.keys == []
        assert store.journaling
        assert store.journal_end == sum(len(store.journal_of([name])) for name in TABLES)
    Store.open(home.store, unlock(PasswordSealer(Secret(PASSWORD)))).close()


async def test_the_trail_and_its_key_are_the_server_s_own(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        await joined(run, tmp_path / "b")
        theirs = run.home.audit_key.read_bytes()
    home = Home(tmp_path / "b")
    assert home.audit_key.read_bytes() != theirs
    verdict = verify(home, read_public_key(home.audit_key))
    assert (verdict.intact, verdict.checked) == (True, 1)


async def test_its_certificates_are_of_the_estate_and_named_after_it(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        made = await joined(run, tmp_path / "b")
        trusted, anchor = run.home.trust.read_bytes(), run.service.owners.estate.anchor
    home = Home(tmp_path / "b")
    assert (made.name, made.anchor, made.administrator) == ("b", anchor, True)
    assert home.trust.read_bytes() == trusted
    with closing(opened(home)) as store:
        known = {each.serial: (each.role, each.name) for each in store.load().certificates}
    for file, whose in {
        "server": (Role.SERVER, "b"),
        "gateway": (Role.GATEWAY, "b"),
        "administrator": (Role.ADMINISTRATOR, "administrator"),
    }.items():
        leaf = x509.load_pem_x509_certificate(home.certificate(file).read_bytes())
        key = keypair.load_key(home.key(file).read_bytes())
        assert leaf.public_key() == key.public_key()
        assert known[pki.serial_of(leaf)] == whose
        assert home.key(file).stat().st_mode & 0o777 == 0o600
    names = x509.load_pem_x509_certificate(home.certificate("server").read_bytes())
    hosts = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(hosts.get_values_for_type(x509.DNSName)) == {"localhost", "ekm2.example"}


async def test_an_administrator_who_was_refused_is_not_made_anew(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        await have(run.client, run, Role.ADMINISTRATOR, "alice")
        own = next(each for each in run.service.owners.certificates if each.name == "administrator")
        changes = run.service.owners.certificates.revoke(own.serial)[1]
        await run.store.commit(changes)
        async with connect_async(run.home.path, identity="alice") as alice:
            made = await joined(replace(run, client=alice), tmp_path / "b")
    assert not made.administrator
    assert not Home(tmp_path / "b").certificate("administrator").exists()


async def test_a_rotated_record_key_and_a_roll_over_under_way_are_taken_along(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        proof = slots_pb2.Proof(key_file=run.home.root_key.read_bytes())
        await collect(run.client.keystore.RotateKeystore(keystore_pb2.RotateKeystoreRequest(proof=proof)))
        await run.client.certificates.StartRollover(certificates_pb2.StartRolloverRequest())
        await joined(run, tmp_path / "b")
        trusted = run.home.trust.read_bytes()
    home = Home(tmp_path / "b")
    assert home.trust.read_bytes() == trusted
    assert home.certificate("gateway").read_bytes().count(b"BEGIN CERTIFICATE") == 2  # the cross-signed one
    with closing(opened(home)) as store:
        assert store.ring.version == 2


async def test_shared_properties_come_along_and_others_do_not(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        request = configuration_pb2.UpdatePropertiesRequest(set={"drive.acceptUnknownDrives": "false"})
        await run.client.configuration.UpdateProperties(request)
        await joined(run, tmp_path / "b", properties={"log.level": "warning"})
    found = Settings.load(Home(tmp_path / "b").config, {})
    shared = {name for name, item in found.table.items() if item.shared}
    mine = Settings.load(Home(tmp_path / "a").config, {})
    assert found.text("drive.acceptUnknownDrives") == "false"
    assert {name: found.text(name) for name in shared} == {name: mine.text(name) for name in shared}
    assert (found["log.level"], found["keystore.slot"]) == ("warning", "key-file")


async def test_where_a_key_manager_is_nobody_is_asked(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        invitation = await invited(run)

        def never(*_: object) -> Any:
            raise AssertionError("asked")

        with pytest.raises(HomeExists):
            join(run.home, Wanted(invitation), never, never, now_us)


def altered_name(welcome: Welcome) -> Welcome:
    """Return a welcome of another server."""
    lines = [line for line in welcome.lines if line.key != "b"]
    return replace(welcome, lines=tuple(lines))


def of_another_release(welcome: Welcome) -> Welcome:
    """Return a welcome whose table of servers has a column more."""
    columns = dict(welcome.columns)
    columns["peers"] = (*columns["peers"], "mood")
    return replace(welcome, columns=columns)


def altered_certificate(was: str, now: str) -> Callable[[Welcome], Welcome]:
    """Return what changes some bytes of the certificate in a welcome, hex."""

    def alter(welcome: Welcome) -> Welcome:
        der = PEM_cert_to_DER_cert(welcome.certificate.decode())
        assert bytes.fromhex(was) in der
        altered = der.replace(bytes.fromhex(was), bytes.fromhex(now), 1)
        return replace(welcome, certificate=DER_cert_to_PEM_cert(altered).encode())

    return alter


ALTERED: dict[str, Callable[[Welcome], Welcome]] = {
    "the row of this server is missing": altered_name,
    "another release": of_another_release,
    "another estate": lambda welcome: replace(welcome, estate_id=bytes(16)),
    "no certificate": lambda welcome: replace(welcome, certificate=b"none"),
    "somebody else's certificate": lambda welcome: replace(welcome, certificate=welcome.trust),
    "a key of no kind": altered_certificate("06072a8648ce3d0201", "06072a8648ce3d0209"),
    "a certificate of no version": altered_certificate("a003020102", "a003020107"),
    "a table that does not exist": lambda welcome: replace(
        welcome, lines=(replace(welcome.lines[0], table="moods"), *welcome.lines[1:])
    ),
    "a row of no sense": lambda welcome: replace(
        welcome, lines=(replace(welcome.lines[0], values=("ca",)), *welcome.lines[1:])
    ),
    "a vault that does not open": lambda welcome: replace(
        welcome,
        lines=tuple(
            replace(line, values=(line.values[0], b"\0" * 40, *line.values[2:]))
            if (line.table, line.key) == ("vaults", "ca")
            else line
            for line in welcome.lines
        ),
    ),
}


def _fill(home: Home, wanted: Wanted, key: EllipticCurvePrivateKey, root: Secret, welcome: Welcome) -> None:
    with built(home) as new:
        Newcomer(new, wanted, welcome, now_us, os.urandom).fill(key, root, [])


async def test_a_welcome_that_does_not_fit_makes_nothing(tmp_path: Path) -> None:
    key, wrapping = keypair.make_key(), X25519PrivateKey.generate()
    async with alone(tmp_path / "a") as run:
        invitation = await invited(run)
        async with joiner(invitation) as b:
            b.key, b.wrapping = key, wrapping
            await b.wait()
            await accept(run, b.fingerprint)
            *_, last = await b.rest()
    welcome = of_proto(last.welcome)
    assert to_proto(welcome) == last.welcome
    root, _ = Wrapping(welcome.estate_id, "b").unwrap(welcome.wrapped, wrapping, welcome.wrapping_key)
    assert len(root.reveal()) == 32
    for why, alter in ALTERED.items():
        home = Home(tmp_path / "b")
        with pytest.raises(QekmError):
            _fill(home, Wanted(invitation, FREE_PORTS), key, root, alter(welcome))
        assert not home.path.exists() or not any(home.path.iterdir()), why
    _fill(Home(tmp_path / "b"), Wanted(invitation, FREE_PORTS), key, root, welcome)  # the control
    Home(tmp_path / "b").require()


async def test_a_joined_server_that_is_restored_keeps_its_names(tmp_path: Path) -> None:
    async with alone(tmp_path / "a") as run:
        await joined(run, tmp_path / "b")
        first = reissue(run.store.load(), run.store.ring, (), now_us, os.urandom)
    assert {(each.role, each.name) for each in first.issued} == {
        (Role.SERVER, "server"),
        (Role.GATEWAY, "gateway"),
        (Role.ADMINISTRATOR, "administrator"),
    }
    home = Home(tmp_path / "b")
    with closing(opened(home)) as store:
        second = reissue(store.load(), store.ring, (), now_us, os.urandom)
    assert {(each.role, each.name) for each in second.issued} == {
        (Role.SERVER, "b"),
        (Role.GATEWAY, "b"),
        (Role.ADMINISTRATOR, "administrator"),
    }
    assert {each.name for each in second.revoked} == {"b", "administrator"}
    names = x509.load_pem_x509_certificate(second.files["server.pem"])
    hosts = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "ekm2.example" in hosts.get_values_for_type(x509.DNSName)
