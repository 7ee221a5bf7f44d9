"""The client that was written from the page alone, against a server played here from the same page."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from qekm.dkp import names, pages, signed
from qekm.dkp.codes import Ask, Code, Fault, ask_of
from qekm.dkp.frame import Frame, MessageType, Reader, Tag, build, error_frame, parse, serialize
from qekm.dkp.messages import check_flags, check_missing, named_dki
from tests.vectors.actors import Actor, PrivateKey, make_authority
from tests.vectors.oaep import oaep_encrypt
from tests.vectors.test_sessions import verify

STRANGER = Path(__file__).resolve().parents[1] / "system" / "stranger"
SERIAL, WWNN, ALIAS = "QEKMSTRANGER", bytes.fromhex("500308c09e4a1001"), "QKM00ABCDEF0123000001"
KEY = bytes(range(32))


@dataclass
class Server:
    """A server of one key; `spoil` alters its SET_KEY page, `refuse` answers message 02, `mute` nothing."""

    actor: Actor
    folder: Path
    spoil: bytes = b""
    refuse: Fault | None = None
    mute: bool = False
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    finished: list[Ask] = field(default_factory=list)
    problems: list[Exception] = field(default_factory=list)
    tries: int = 0

    def __post_init__(self) -> None:
        self.address = "{}:{}".format(*self.listener.getsockname())

    def serve(self) -> None:
        """Serve connections until the listener is closed."""
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link:
                link.settimeout(10)
                self.tries += 1
                try:
                    self.play(link)
                except ConnectionError:
                    continue  # the client does not believe us
                except Exception as problem:
                    self.problems.append(problem)

    def play(self, link: socket.socket) -> None:
        """Play one session."""
        first = self.receive(link)
        if self.mute:
            link.recv(1)  # until the client gives up
            return
        ask, dki = ask_of(first.get(Tag.SENSE) or b""), named_dki(first)
        query = build(0x82, 7, 2, [(Tag.CHALLENGE, bytes(32)), (Tag.CERTIFICATE, self.actor.chain[0])])
        earlier = serialize(first) + self.send(link, query)
        reply = self.receive(link, earlier)
        self.check_dsk(reply)
        earlier += serialize(reply)
        if self.refuse:
            self.send(link, error_frame(self.refuse, 7, 4))
            return
        sequence, leaf = 4, reply.all(Tag.CERTIFICATE)[0]
        if ask is Ask.TRANSLATE and dki is None:
            earlier += self.send(link, build(0x83, 7, 4, []))
            named = self.receive(link, earlier, leaf)
            earlier += serialize(named)
            dki, sequence = named.get(Tag.DKI), 6
        assert dki in (None, names.alias_to_dki(ALIAS))
        page = self.key_page(reply, sequence)
        set_key = build(0x84, 7, sequence, [(Tag.KEY_ALIAS, ALIAS.encode()), (Tag.SET_DATA_ENCRYPTION, page)])
        earlier += self.send(link, self.sign(earlier, set_key))
        status = self.receive(link, earlier, leaf)
        covered = signed.confirmation_bytes(earlier, status)
        assert status.get(Tag.KEY_CONFIRMATION) == signed.confirmation(KEY, 7, covered)
        earlier += serialize(status)
        self.send(link, self.sign(earlier, build(0x86, 7, sequence + 2, [])))
        assert ask
        self.finished.append(ask)

    def receive(self, link: socket.socket, earlier: bytes = b"", leaf: bytes = b"") -> Frame:
        """Take a frame and check it, its signature too if it must have one."""
        reader = Reader()
        while (raw := reader.next_frame()) is None:
            data = link.recv(65536)
            if not data:
                raise ConnectionError
            reader.feed(data)
        frame = parse(raw)
        check_missing(frame)
        check_flags(frame)
        if frame.type != MessageType.DRIVER_ERROR_NOTIFY:
            kind, signature = signed.signature_of(frame)
            covered = signed.signed_bytes(signed.CLIENT, earlier, frame)
            verify(leaf or frame.all(Tag.CERTIFICATE)[0], kind, signature, covered, self.folder)
        return frame

    def check_dsk(self, reply: Frame) -> None:
        """Check the DSK's signature."""
        dsk_serial, page, kind, signature = signed.split_dsk_list(reply.get(Tag.DSK_LIST) or b"")
        covered = signed.dsk_signed_bytes(SERIAL.encode(), dsk_serial, page)
        verify(reply.all(Tag.CERTIFICATE)[0], kind, signature, covered, self.folder)

    def key_page(self, reply: Frame, sequence: int) -> bytes:
        """Return page 0010h for the drive that sent message 02."""
        _, modulus, exponent = pages.parse_public_key_page(
            signed.split_dsk_list(reply.get(Tag.DSK_LIST) or b"")[1]
        )
        nonce = pages.parse_random_number_page(reply.get(Tag.RANDOM_NUMBER) or b"")
        dki, dcert = names.alias_to_dki(ALIAS), sha256(reply.all(Tag.CERTIFICATE)[0]).digest()
        label = pages.build_label(WWNN, self.actor.spki_sha256, 7, sequence, nonce, dki, dcert)
        wrapped = oaep_encrypt(KEY, label, os.urandom(32), modulus, exponent)
        page = pages.build_wrapped_page(True, 2, 3, 0, label, wrapped, dki)
        return page.replace(self.spoil, bytes(len(self.spoil)), 1) if self.spoil else page

    def sign(self, earlier: bytes, frame: Frame) -> Frame:
        """Sign a frame of the server's."""
        actor = self.actor
        return signed.sign_frame(signed.SERVER, earlier, frame, actor.sig_type, actor.sig_length, actor.sign)

    def send(self, link: socket.socket, frame: Frame) -> bytes:
        """Send a frame and return its bytes."""
        raw = serialize(frame)
        link.sendall(raw)
        return raw


def ask_server(
    server: Server, drive: Actor, *more: str, anchor: bytes = b"", second: Server | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the stranger against a server, or two."""
    folder, servers = server.folder, [server, second] if second else [server]
    pem = drive.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "drive.key").write_bytes(pem)
    chain = (x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in drive.chain)
    (folder / "drive.pem").write_bytes(b"".join(chain))
    threads = [threading.Thread(target=each.serve) for each in servers]
    for thread in threads:
        thread.start()
    command = [sys.executable, str(STRANGER), *(each.address for each in servers)]
    command += ["--key", str(folder / "drive.key")]
    command += ["--cert", str(folder / "drive.pem"), "--serial", SERIAL, "--wwnn", WWNN.hex()]
    command += ["--anchor", (anchor or server.actor.spki_sha256).hex(), *more]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        for each, thread in zip(servers, threads, strict=True):
            each.listener.shutdown(socket.SHUT_RDWR)
            each.listener.close()
            thread.join(10)
            assert each.problems == []


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what a stranger told, but for the seconds, which must be few."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line.pop("seconds") < 15 for line in lines)  # the page says 5
    return lines


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Return a server with a P-256 key."""
    return Server(make_authority("server CA").server("Q-EKM server"), tmp_path)


def drive_with(key: PrivateKey) -> Actor:
    """Return a drive."""
    return make_authority("drive CA").drive(SERIAL, key)


KEYS: dict[str, Callable[[], PrivateKey]] = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize(("kind", "more"), [("rsa", []), ("p256", ["--late"]), ("p384", [])])
def test_a_stranger_creates_a_key_and_gets_it_again(server: Server, kind: str, more: list[str]) -> None:
    done = ask_server(server, drive_with(KEYS[kind]()), *more)
    assert done.returncode == 0, done.stderr
    created, read = told(done)
    facts = {"alias": ALIAS, "dki": names.alias_to_dki(ALIAS).hex(), "key_sha256": sha256(KEY).hexdigest()}
    facts["server"] = server.address
    assert created == {"ask": "creation", **facts, "end": "86"}
    assert read == {"ask": "translation", **facts, "end": "86"}
    assert server.finished == [Ask.CREATE, Ask.TRANSLATE]


@pytest.mark.parametrize("part", [WWNN, b"\x04\x00\x00\x02\x01", names.alias_to_dki(ALIAS)])
def test_a_stranger_refuses_a_key_that_is_labelled_for_something_else(server: Server, part: bytes) -> None:
    done = ask_server(replace(server, spoil=part), drive_with(KEYS["p256"]()))
    assert done.returncode == 1
    assert "UnbelievedError" in done.stderr


def test_a_stranger_believes_only_its_anchor(server: Server) -> None:
    done = ask_server(server, drive_with(KEYS["p256"]()), anchor=bytes(32))
    assert done.returncode == 1
    assert "not the anchor's" in done.stderr


@pytest.mark.parametrize(("code", "tries"), [(Code.EE31, 1), (Code.EE0F, 4)])
def test_a_stranger_tries_again_where_that_can_help(server: Server, code: Code, tries: int) -> None:
    spoilt = replace(server, refuse=Fault(code, "no"))
    done = ask_server(spoilt, drive_with(KEYS["p256"]()))
    assert done.returncode == 1
    assert f"refused: {code.name.lower()} no" in done.stderr
    assert spoilt.tries == tries


FAILING: dict[str, tuple[dict[str, Any], int]] = {  # a first server, and how often it is asked for two keys
    "says nothing": ({"mute": True}, 1),
    "cannot now": ({"refuse": Fault(Code.EE0F)}, 2),
    "has no such key": ({"refuse": Fault(Code.EE31)}, 2),
    "has no key left": ({"refuse": Fault(Code.EE34)}, 2),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_stranger_goes_on_with_the_second_server_when_the_first(server: Server, how: str) -> None:
    fields, tries = FAILING[how]
    first = replace(server, listener=socket.create_server(("127.0.0.1", 0)), **fields)
    done = ask_server(first, drive_with(KEYS["p256"]()), second=server)
    assert done.returncode == 0, done.stderr
    assert [line["server"] for line in told(done)] == [server.address] * 2
    assert (first.tries, server.finished) == (tries, [Ask.CREATE, Ask.TRANSLATE])


@pytest.mark.parametrize("code", [Code.EF01, Code.EE25, Code.EE2B])
def test_a_stranger_asks_no_other_server_when_the_refusal_is_final(server: Server, code: Code) -> None:
    first = replace(server, listener=socket.create_server(("127.0.0.1", 0)), refuse=Fault(code))
    done = ask_server(first, drive_with(KEYS["p256"]()), second=server)
    assert done.returncode == 1
    assert (first.tries, server.tries) == (1, 0)


def test_a_stranger_imports_nothing_of_ours() -> None:
    files = list(STRANGER.glob("*.py"))
    assert len(files) == 3
    assert not any("qekm" in file.read_text().replace("QEKM", "") for file in files)
