"""Installations that are made once, copied, broken, and examined in this process by the doctor's parts."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from qekm import clock, pki
from qekm.client import connect
from qekm.doctor.examination import examine as examine_home
from qekm.doctor.finding import Finding, Verdict, first_broken
from qekm.home import Home
from qekm.keypair import dump_key
from qekm.model import Role
from qekm.subject import Subject
from qekm_cli.doctor.links import Link
from qekm_cli.doctor.links import examine as examine_link
from qekm_cli.doctor.routes import route
from tests.system.processes import FREE_PORTS
from tests.templates import copied

DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True)
class Examined:
    """What the doctor found."""

    findings: list[Finding]

    @property
    def first(self) -> str:
        """Return the first step that is broken, empty if none is."""
        found = first_broken(self.findings)
        return found.step if found else ""

    @property
    def told(self) -> str:
        """Return what is said of it."""
        found = first_broken(self.findings)
        return f"{found.told} -> {found.advice}" if found else ""

    def verdict(self, step: str) -> Verdict:
        """Return how a step ended."""
        return next(each.verdict for each in self.findings if each.step == step)

    def seen(self, step: str) -> str:
        """Return what a step has seen."""
        return next("; ".join(each.seen) for each in self.findings if each.step == step)


def examine(
    home: Home,
    target: str | None = None,
    identity: str | None = None,
    now_us: Callable[[], int] = clock.now_us,
) -> Examined:
    """Do what `qekm doctor` does, without a process for each half of it."""
    before = list(examine_home(home, now_us))
    way = route(home, target, identity)

    def open_client() -> object:
        return connect(home.path, target if target or not way.named else way.target, way.identity)

    link = Link(home, way.target, way.identity, way.named, open_client)  # type: ignore[arg-type]
    return Examined([*before, *examine_link(link, before)])


def examined(home: Home, now_us: Callable[[], int] = clock.now_us) -> Examined:
    """Do what `qekm-server doctor` does."""
    return Examined(list(examine_home(home, now_us)))


def make_template(path: Path) -> Home:
    """Return a key manager of two keys that has never run; of another name it is of another estate."""
    return copied(path, 2, FREE_PORTS)


def copy_of(home: Home, path: Path) -> Home:
    """Return a copy of a home."""
    shutil.copytree(home.path, path, symlinks=True)
    return Home(path)


def client_of(home: Home, path: Path, target: str) -> Home:
    """Return the home of an administrator elsewhere: certificates, and where the key manager is."""
    from qekm.configuration.remote import Remote, write_remote

    client = Home(path)
    client.pki.mkdir(parents=True)
    client.path.chmod(0o700)
    client.pki.chmod(0o700)
    for each in (home.certificate("administrator"), home.key("administrator"), home.trust):
        shutil.copy2(each, client.pki)
    host, _, port = target.rpartition(":")
    write_remote(client.client_config, Remote(host.strip("[]"), int(port)))
    return client


class Authority:
    """An authority of an estate, which is not in its store: what it issues is as good as we say."""

    def __init__(self, estate: bytes, now_us: int) -> None:
        self.estate = estate
        self.issuer = pki.make_issuer(estate, now_us, os.urandom)

    @classmethod
    def of(cls, home: Home, now_us: int) -> Authority:
        """Return another one for a home's estate, and have it trusted there."""
        made = cls(estate_of(home), now_us)
        home.trust.write_bytes(pki.pem(made.issuer.certificate))
        return made

    def issue(
        self, home: Home, name: str, role: Role, now_us: int, days: int = 397, hosts: tuple[str, ...] = ()
    ) -> None:
        """Put another pair into a home's pki."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = Subject(self.estate, role, name, hosts)
        leaf = self.issuer.issue(subject, key.public_key(), now_us, days, os.urandom)
        home.certificate(name).write_bytes(pki.pem(leaf))
        home.key(name).write_bytes(dump_key(key))
        home.key(name).chmod(0o600)

    def issue_all(self, home: Home, now_us: int, days: int = 397) -> None:
        """Put all three of a home anew."""
        self.issue(home, "server", Role.SERVER, now_us, days, ("localhost", "127.0.0.1"))
        self.issue(home, "gateway", Role.GATEWAY, now_us, days, ("localhost",))
        self.issue(home, "administrator", Role.ADMINISTRATOR, now_us, days)


def estate_of(home: Home) -> bytes:
    """Return the estate that a home's certificates name."""
    from qekm.subject import subject_of

    return subject_of(x509.load_pem_x509_certificate(home.certificate("server").read_bytes())).estate


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a free port and let `answer` deal with each connection, in a thread; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=turn, args=(connection,), daemon=True).start()

        def turn(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def speaking_tls(
    home: Home, trust: Path | None = None, *, alpn: bool = True
) -> Callable[[socket.socket], None]:
    """Return what answers as a service of a home would begin to: TLS 1.3, and the first bytes of HTTP/2.

    trust: whom it believes, if it wants a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(home.certificate("server"), home.key("server"))
    if alpn:
        context.set_alpn_protocols(["h2"])
    if trust is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trust)

    def answer(connection: socket.socket) -> None:
        connection.settimeout(20)
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(33)
            wrapped.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            wrapped.recv(1)

    return answer


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory for a block."""
    path.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True, capture_output=True
    )
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)
