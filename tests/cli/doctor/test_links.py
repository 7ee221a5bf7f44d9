"""Ways to a service that are really broken, with servers that speak TLS, or do not; no service runs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qekm import __version__, clock
from qekm.home import Home
from qekm.model import Role
from tests.cli.doctor.rig import (
    DAY_US,
    Authority,
    client_of,
    copy_of,
    examine,
    listening,
    make_template,
    speaking_tls,
)
from tests.ports import free_port
from tests.waiting import wait_for

NOW_US = clock.now_us()
WAY = ("name", "connect", "tls")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_template(tmp_path_factory.mktemp("links") / "template")


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    return copy_of(template, tmp_path / "home")


def hello(connection: socket.socket) -> None:
    """Answer as a mail server does."""
    connection.sendall(b"220 mail.example ESMTP\r\n")
    connection.recv(1_000)


def silence(connection: socket.socket) -> None:
    """Say nothing."""
    connection.settimeout(30)
    while connection.recv(1_000):
        pass


@pytest.fixture
def client(home: Home, tmp_path: Path) -> Iterator[Home]:
    """Give an administrator's home whose way to its key manager is well up to the TLS handshake."""
    with listening(speaking_tls(home, home.trust)) as port:
        made = client_of(home, tmp_path / "client", f"127.0.0.1:{port}")
        found = examine(made)
        assert [found.verdict(step) for step in WAY] == ["ok"] * 3, found.findings
        yield made


def turn_to(client: Home, target: str) -> None:
    """Have a client's home name another key manager."""
    from qekm.configuration.remote import Remote, write_remote

    host, _, port = target.rpartition(":")
    client.client_config.unlink()
    write_remote(client.client_config, Remote(host, int(port)))


def test_a_name_without_an_address(client: Home) -> None:
    turn_to(client, "no-such-host.invalid:443")
    found = examine(client)
    assert found.first == "name", found.told
    assert "no-such-host.invalid" in found.told or "could not be found out" in found.told


def test_a_port_at_which_nothing_listens(client: Home) -> None:
    port = free_port()
    turn_to(client, f"127.0.0.1:{port}")
    found = examine(client)
    assert (found.first, f"nothing listens at 127.0.0.1:{port}" in found.told) == ("connect", True), (
        found.told
    )


def test_a_port_that_speaks_no_tls(client: Home) -> None:
    with listening(hello) as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "speaks no TLS" in found.told) == ("tls", True), found.told


def test_a_port_that_takes_connections_and_says_nothing(client: Home) -> None:
    with listening(silence) as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "says nothing: it is frozen" in found.told) == ("tls", True), found.told


def test_a_server_of_another_estate(client: Home, home: Home) -> None:
    authority = Authority(bytes(16), NOW_US - DAY_US)
    authority.issue(home, "server", Role.SERVER, NOW_US, hosts=("127.0.0.1",))
    with listening(speaking_tls(home)) as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "which trust.pem does not have" in found.told) == ("tls", True), found.told


def test_a_server_whose_certificate_has_another_name(client: Home, home: Home) -> None:
    authority = Authority.of(home, NOW_US - DAY_US)
    authority.issue_all(home, NOW_US)
    authority.issue(home, "server", Role.SERVER, NOW_US, hosts=("keys.example",))
    other = client_of(home, client.path.parent / "other", "127.0.0.1:1")
    with listening(speaking_tls(home, home.trust)) as port:
        turn_to(other, f"127.0.0.1:{port}")
        found = examine(other)
    words = "is for keys.example, not for 127.0.0.1"
    assert (found.first, words in found.told) == ("tls", True), found.told


def test_a_server_whose_certificate_has_ended(client: Home, home: Home) -> None:
    authority = Authority.of(home, NOW_US - 500 * DAY_US)
    authority.issue_all(home, NOW_US)
    authority.issue(home, "server", Role.SERVER, NOW_US - 90 * DAY_US, 30, ("127.0.0.1",))
    other = client_of(home, client.path.parent / "other", "127.0.0.1:1")
    with listening(speaking_tls(home, home.trust)) as port:
        turn_to(other, f"127.0.0.1:{port}")
        found = examine(other)
    assert (found.first, "the server's certificate has ended" in found.told) == ("tls", True), found.told


def test_a_server_that_does_not_trust_our_authority(client: Home, home: Home, tmp_path: Path) -> None:
    from qekm import pki

    (tmp_path / "others.pem").write_bytes(pki.pem(Authority(bytes(16), NOW_US).issuer.certificate))
    with listening(speaking_tls(home, tmp_path / "others.pem")) as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "authority" in found.told and "our certificate" in found.told) == ("tls", True)


def test_a_server_that_speaks_tls_and_nothing_of_ours(client: Home, home: Home) -> None:
    with listening(speaking_tls(home, alpn=False)) as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "not HTTP/2" in found.told) == ("tls", True), found.told


@contextmanager
def openssl_server(home: Home, *more: str) -> Iterator[int]:
    """Run openssl's server with a service's certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    port = free_port()
    files = ["-cert", str(home.certificate("server")), "-key", str(home.key("server"))]
    words = [openssl, "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", *files, *more]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
            return False
        return True

    try:
        wait_for(listens)
        yield port
    finally:
        server.kill()
        server.communicate()


def test_a_server_that_speaks_no_tls_1_3(client: Home, home: Home) -> None:
    with openssl_server(home, "-tls1_2") as port:
        turn_to(client, f"127.0.0.1:{port}")
        found = examine(client)
    assert (found.first, "does not speak TLS 1.3" in found.told) == ("tls", True), found.told


def test_a_client_whose_own_certificate_is_from_elsewhere(client: Home) -> None:
    Authority(bytes(16), NOW_US).issue(client, "administrator", Role.ADMINISTRATOR, NOW_US)
    found = examine(client)
    assert (found.first, "trust.pem does not have" in found.told) == ("identity", True), found.told


def test_a_client_without_a_certificate_of_that_name(client: Home) -> None:
    found = examine(client, identity="anna")
    assert (found.first, "there is no certificate" in found.told) == ("identity", True), found.told


def test_a_client_whose_file_of_properties_is_wrong(client: Home) -> None:
    text = client.client_config.read_text()
    client.client_config.write_text(
        text.replace("TransportListener.ssl.port=", "TransportListener.ssl.port=x")
    )
    found = examine(client)
    assert (found.first, "TransportListener.ssl.port must be" in found.told) == ("configuration", True)


def test_a_service_that_runs_and_does_not_answer_its_probe(home: Home) -> None:
    with (
        listening(silence) as port,
        home.announced("gateway", __version__, {}),
        home.announced("server", __version__, {"grpc": port, "health": port}),
    ):
        found = examine(home)
    assert (found.first, "does not answer its probe: it hangs" in found.told) == ("health", True), found.told


def test_a_port_that_a_service_says_it_has_and_nobody_listens_on(home: Home) -> None:
    with (
        home.announced("gateway", __version__, {"tcp": 1}),
        home.announced("server", __version__, {"grpc": 1, "health": 1}),
    ):
        found = examine(home)
    assert (found.first, "nobody listens on port 1" in found.told) == ("ports", True), found.told
