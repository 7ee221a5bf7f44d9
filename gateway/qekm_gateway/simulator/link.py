"""How a drive reaches its key managers: sockets, time limits, retries and failover (docs/protocol.md)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.dkp.codes import Fault
from qekm.dkp.frame import MessageType, Reader, build, parse, serialize
from qekm_gateway.simulator.anchors import Untrusted
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.errand import Outcome, Refused, refusal_of
from qekm_gateway.simulator.sense import DATA_PROTECT, KEY_MANAGER_AWAY, CheckCondition

# Twins after which another server may do better; any other is final.
_NEXT_SERVER = frozenset({0x7462, 0x7463})
_NOT_THERE = 0x7463


class NoAnswer(CheckCondition):
    """A key manager that cannot be reached, does not answer in time, or closes without a frame."""

    def __init__(self, reason: str) -> None:
        super().__init__(DATA_PROTECT, KEY_MANAGER_AWAY, reason)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for a server, in seconds; what is here is what docs/protocol.md says."""

    connect: float = 1.0  # and as long again for TLS
    answer: float = 2.0
    # Three retries at each server; drives allow 300 s, and a restarted service needs about one.
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0)
    away: float = 30.0  # who gave no answer is asked last


USUAL = Patience()


@dataclass(frozen=True, slots=True)
class Server:
    """Where a key manager listens for drives."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str, tls: bool = False) -> Server:
    """Read HOST:PORT or [IPv6]:PORT; ValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Server(host, int(port), tls)


class Connection:
    """One connection to one server, a context manager; NoAnswer for everything that the network does."""

    def __init__(
        self, server: Server, authorities: Sequence[x509.Certificate] = (), patience: Patience = USUAL
    ) -> None:
        self._reader = Reader()
        self._patience = patience.answer
        try:
            self._socket = socket.create_connection((server.host, server.port), patience.connect)
        except OSError as error:
            raise NoAnswer(f"no connection to {server}: {error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls:
            self._start_tls(server, authorities)

    def _start_tls(self, server: Server, authorities: Sequence[x509.Certificate]) -> None:
        plain = self._socket
        try:
            self._socket = _tls_context(authorities).wrap_socket(plain)
        except OSError as error:
            plain.close()
            raise NoAnswer(f"no TLS with {server}: {error}") from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, frame: bytes) -> bytes:
        """Send a frame and return the answer, which must be whole in time; Untrusted if it is no frame."""
        deadline = time.monotonic() + self._patience
        try:
            self._socket.settimeout(self._patience)
            self._socket.sendall(frame)
            while (answer := self._reader.next_frame()) is None:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                received = self._socket.recv(65536)
                if not received:
                    raise NoAnswer("the key manager closed the connection")
                self._reader.feed(received)
        except TimeoutError:
            raise NoAnswer(f"no answer in {self._patience:g} s") from None
        except OSError as error:
            raise NoAnswer(f"the connection broke: {error}") from None
        except Fault as fault:
            raise Untrusted(str(fault)) from None
        return answer


def converse(connection: Connection, session: Session) -> Outcome:
    """Play a session to its end; NoAnswer, Refused or Untrusted unless a key is installed by then."""
    frame: bytes | None = session.begin()
    while frame is not None:
        try:
            answer = connection.ask(frame)
        except CheckCondition:
            if session.outcome is None:
                raise
            break
        frame = session.receive(answer)
    if session.outcome is None:
        raise Untrusted("the session ended without a key")
    return session.outcome


def ask_servers(
    order: Callable[[], Sequence[Server]],
    begin: Callable[[], Session],
    *,
    authorities: Sequence[x509.Certificate] = (),
    on_trouble: Callable[[Server, CheckCondition], None] = lambda _server, _trouble: None,
    sleep: Callable[[float], None] = time.sleep,
    patience: Patience = USUAL,
) -> Outcome:
    """Ask one server after the other until one serves; begin() makes a fresh session with the same errand.

    A server is asked at most four times: once, and three retries. Twins 64 and 6F of an ERROR, and a server
    that is not believed, are final. Raises what was met last: NoAnswer, Refused or Untrusted.
    """
    gone: set[Server] = set()  # those that have no such key
    trouble: CheckCondition = NoAnswer("no key manager is configured")
    for pause in (0.0, *patience.pauses):
        left = [server for server in order() if server not in gone]
        if not left:
            break
        if pause:
            sleep(pause)
        for server in left:
            try:
                with Connection(server, authorities, patience) as connection:
                    outcome = converse(connection, begin())
                return replace(outcome, server=str(server))
            except (NoAnswer, Refused) as problem:
                trouble = problem
                on_trouble(server, problem)
                if isinstance(problem, Refused) and problem.code not in _NEXT_SERVER:
                    raise
                if problem.code == _NOT_THERE:
                    gone.add(server)
    raise trouble


def ping(connection: Connection) -> None:
    """Send PING and await PONG; NoAnswer, Refused for an ERROR, or Untrusted."""
    answer = connection.ask(serialize(build(MessageType.PING, 0, 1, ())))
    try:
        frame = parse(answer)
    except Fault as fault:
        raise Untrusted(str(fault)) from None
    if frame.type == MessageType.ERROR:
        raise refusal_of(frame)
    if (frame.type, frame.session_id, frame.sequence) != (MessageType.PONG, 0, 2):
        raise Untrusted("no PONG came")


def _tls_context(authorities: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """TLS 1.3; without a CA it only hides names from listeners: trust rests on signatures inside."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A library is told addresses, not names; who answers is proved by the eAK inside.
    context.check_hostname = False
    if authorities:
        pem = b"".join(item.public_bytes(Encoding.PEM) for item in authorities)
        context.load_verify_locations(cadata=pem.decode())
    else:
        context.verify_mode = ssl.CERT_NONE
    return context
