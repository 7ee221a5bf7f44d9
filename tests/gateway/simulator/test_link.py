"""Retries and failover, with servers that are really there, or really not."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from qekm.dkp.codes import Ask, Code
from qekm.dkp.frame import Tag
from qekm_gateway.simulator.anchors import Anchors, Untrusted
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Outcome, Refused
from qekm_gateway.simulator.link import Connection, NoAnswer, Server, ask_servers, parse_server, ping
from qekm_gateway.simulator.sense import CheckCondition
from tests.fakes.key_manager import KeyManager, Lies
from tests.gateway.simulator.rig import CREATE, fresh_drive, session
from tests.ports import free_port

TWIN_62, TWIN_63 = Code.EE0F, Code.EE31
FINAL = [Code.EF01, Code.EE25, Code.EE29, Code.EE2B, Code.EE2E, Code.EE23, Code.EE2D, Code.EEE1, Code.EE02]


@contextmanager
def silent() -> Iterator[int]:
    """Accept and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Asked:
    """One request to several servers, and what was seen on the way."""

    def __init__(self, *ports: int, managers: list[KeyManager], drive: Drive | None = None) -> None:
        self.drive = drive or fresh_drive()
        self.servers = [Server("127.0.0.1", port) for port in ports]
        self.anchors = Anchors([manager.pin for manager in managers])
        self.pauses: list[float] = []
        self.troubles: list[tuple[int, str]] = []

    def run(self) -> Outcome:
        """Ask."""
        return ask_servers(
            lambda: self.servers, self._begin, on_trouble=self._on_trouble, sleep=self.pauses.append
        )

    def _begin(self) -> Session:
        return session(KeyManager(), self.drive, CREATE, self.anchors)

    def _on_trouble(self, server: Server, trouble: CheckCondition) -> None:
        self.troubles.append((server.port, trouble.triple))


def test_the_first_server_serves_and_no_other_is_asked() -> None:
    first, second = KeyManager(), KeyManager()
    with first.listening() as one, second.listening() as two:
        outcome = Asked(one, two, managers=[first, second]).run()
    assert outcome.confirmed
    assert not second.notifies


@pytest.mark.parametrize("code", [TWIN_62, TWIN_63])
def test_an_error_of_twin_62_or_63_sends_the_drive_to_the_next_server(code: Code) -> None:
    first, second = KeyManager(refuse=code), KeyManager()
    with first.listening() as one, second.listening() as two:
        asked = Asked(one, two, managers=[first, second])
        assert asked.run().confirmed
    assert asked.pauses == []
    assert first.notifies[0].get(Tag.MOUNT_ID) == second.notifies[0].get(Tag.MOUNT_ID) == CREATE.mount_id


@pytest.mark.parametrize("code", FINAL)
def test_an_error_of_twin_64_or_6f_is_final(code: Code) -> None:
    first, second = KeyManager(refuse=code), KeyManager()
    with first.listening() as one, second.listening() as two:
        asked = Asked(one, two, managers=[first, second])
        with pytest.raises(Refused) as caught:
            asked.run()
    assert caught.value.number == code
    assert len(first.notifies) == 1
    assert not second.notifies
    assert asked.drive.key is None


def test_no_connection_sends_the_drive_to_the_next_server() -> None:
    manager = KeyManager()
    with manager.listening() as port:
        asked = Asked(free_port(), port, managers=[manager])
        assert asked.run().confirmed
    assert [triple for _, triple in asked.troubles] == ["07/74/61"]


def test_no_answer_in_two_seconds_sends_the_drive_to_the_next_server() -> None:
    manager = KeyManager()
    with manager.listening() as port, silent() as mute:
        asked = Asked(mute, port, managers=[manager])
        begun = time.monotonic()
        assert asked.run().confirmed
    assert 1.9 < time.monotonic() - begun < 3.5


def test_a_close_without_a_frame_sends_the_drive_to_the_next_server() -> None:
    rude, manager = KeyManager(lies=Lies(sent=lambda _raw: None)), KeyManager()
    with rude.listening() as one, manager.listening() as two:
        assert Asked(one, two, managers=[rude, manager]).run().confirmed


def test_a_server_that_is_not_believed_is_final() -> None:
    rogue, manager = KeyManager(), KeyManager()
    with rogue.listening() as one, manager.listening() as two:
        asked = Asked(one, two, managers=[manager])
        with pytest.raises(Untrusted):
            asked.run()
    assert not manager.notifies
    assert asked.drive.key is None


def test_each_server_is_asked_once_and_retried_three_times_with_the_same_mount() -> None:
    first, second = KeyManager(refuse=TWIN_62), KeyManager(refuse=TWIN_62)
    with first.listening() as one, second.listening() as two:
        asked = Asked(one, two, managers=[first, second])
        with pytest.raises(Refused):
            asked.run()
    assert len(first.notifies) == len(second.notifies) == 4
    mounts = {frame.get(Tag.MOUNT_ID) for frame in first.notifies + second.notifies}
    assert mounts == {CREATE.mount_id}
    assert asked.pauses == [0.5, 1.0, 2.0]


def test_a_server_that_has_no_such_key_is_not_asked_again() -> None:
    manager = KeyManager(refuse=TWIN_63)
    with manager.listening() as port, pytest.raises(Refused):
        Asked(port, managers=[manager]).run()
    assert len(manager.notifies) == 1


def test_a_server_that_comes_back_serves_a_retry() -> None:
    manager = KeyManager(refuse=TWIN_62)
    with manager.listening() as port:
        asked = Asked(port, managers=[manager])

        def heal(_pause: float) -> None:
            manager.refuse = None

        outcome = ask_servers(lambda: asked.servers, asked._begin, sleep=heal)
    assert outcome.confirmed


def test_a_lost_complete_leaves_the_key_in_the_drive() -> None:
    manager = KeyManager(lies=Lies(sent=lambda raw: None if raw[5] == 0x86 else raw))
    with manager.listening() as port:
        asked = Asked(port, managers=[manager])
        outcome = asked.run()
    assert not outcome.confirmed
    assert asked.drive.key is outcome.key is not None
    assert asked.troubles == []


def test_without_servers_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        Asked(managers=[]).run()


def test_many_sessions_and_pings_share_one_connection() -> None:
    manager, drive = KeyManager(), fresh_drive()
    from qekm_gateway.simulator.link import converse

    with manager.listening() as port, Connection(Server("127.0.0.1", port)) as connection:
        ping(connection)
        assert converse(connection, session(manager, drive)).confirmed
        ping(connection)
        assert converse(connection, session(manager, drive)).confirmed


@contextmanager
def tls_front(manager: KeyManager, folder: Path) -> Iterator[int]:
    """Put TLS 1.3 before a played key manager, with its own certificate."""
    pem = manager.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key").write_bytes(pem + manager.certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "key")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            while True:
                try:
                    connection = context.wrap_socket(listener.accept()[0], server_side=True)
                except ssl.SSLError:
                    continue
                except OSError:
                    return
                threading.Thread(target=manager._serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("known", [True, False], ids=["CA", "pin only"])
def test_a_drive_speaks_tls_when_told(tmp_path: Path, known: bool) -> None:
    manager, drive = KeyManager(), fresh_drive()
    anchors = Anchors([manager.pin], [manager.ca] if known else [])
    with tls_front(manager, tmp_path) as port:
        outcome = ask_servers(
            lambda: [Server("127.0.0.1", port, tls=True)],
            lambda: session(manager, drive, anchors=anchors),
            authorities=anchors.authorities,
        )
    assert outcome.confirmed


def test_tls_with_a_stranger_is_no_connection(tmp_path: Path) -> None:
    manager, other = KeyManager(), KeyManager()
    with tls_front(manager, tmp_path) as port, pytest.raises(NoAnswer, match="TLS"):
        Connection(Server("127.0.0.1", port, tls=True), [other.ca])


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("host:3801", Server("host", 3801)),
        ("[::1]:1", Server("::1", 1)),
        ("10.0.0.1:65535", Server("10.0.0.1", 65535)),
    ],
)
def test_a_server_is_named_by_host_and_port(text: str, server: Server) -> None:
    assert parse_server(text) == server
    assert str(server) == text


@pytest.mark.parametrize("text", ["", "host", ":3801", "host:", "host:0", "host:65536", "host:x"])
def test_a_server_without_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_server(text)


def test_an_asked_errand_is_never_a_clear_write() -> None:
    """An ERROR for an optional request is no permission to write in clear."""
    manager, drive = KeyManager(refuse=Code.EF01), fresh_drive()
    from dataclasses import replace

    errand = replace(CREATE, ask=Ask.OPTIONAL)
    with manager.listening() as port, pytest.raises(Refused):
        ask_servers(lambda: [Server("127.0.0.1", port)], lambda: session(manager, drive, errand))
