"""The way from here to the service, step by step: the shells that take the facts, and what is decided."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qekm import __version__
from qekm.doctor import certificates, place
from qekm.doctor.finding import Finding, Seen, broken, doubtful, fine, unseen
from qekm.doctor.steps import LINK_STEPS, Kind
from qekm.doctor.walk import Look, walk
from qekm.errors import BadCertificate, IdentityError, NotAllowed, PasswordNeeded, UnknownIdentity
from qekm.home import Home
from qekm_cli.doctor import answers, handshake

if TYPE_CHECKING:
    from qekm.client import Client

CALL_S = 5.0  # for each answer of the service
_PROBE_S = 3.0
_LOGIN = "log in for this: qekm login"

Open = Callable[[], contextlib.AbstractContextManager["Client"]]


class Link:
    """The looks at one service; each takes its facts when it is called. Only `status` asks more than once."""

    def __init__(self, home: Home, target: str, identity: str, named: bool, open_client: Open) -> None:
        """Take where the service is (host:port), whose certificate is shown, and what opens a client.

        named: whether somebody named the target: then a service that does not run here says nothing of it.
        """
        self._home, self._identity, self._open = home, identity, open_client
        host, _, port = target.rpartition(":")
        self._host, self._port, self._target = host.strip("[]"), int(port), target
        self._kind = place.survey(home).kind
        self._named = named or self._kind is not Kind.SERVICE
        self._told: dict[str, Any] = {}

    def looks(self) -> dict[str, Look]:
        """Return every look by the name of its step."""
        here: dict[str, Look] = {"identity": self._own}
        if not self._named and self._home.running("server") is None:
            return here | {step.name: _away for step in LINK_STEPS if step.name != "identity"}
        probe: dict[str, Look] = {} if self._named else {"health": self._health}
        asked: dict[str, Look] = {
            name: lambda name=name: self._told.get(name) or [unseen("the service was not asked")]  # type: ignore[misc]
            for name in ("gateways", "drives", "keys", "peers")
        }
        way: dict[str, Look] = {
            "name": self._name,
            "connect": self._connect,
            "tls": self._shake,
            "service": self._service,
            "status": self._status,
        }
        return here | probe | way | asked

    def _now(self) -> datetime:
        return datetime.now(UTC)

    def _trust(self) -> list[Any]:
        found = certificates.read_pem(self._home.trust.read_bytes())
        if not found:
            hint = "put back the trust.pem of this key manager: qekm certificates trust prints it there"
            raise BadCertificate(f"{self._home.trust} holds no certificate that can be read", hint=hint)
        return found

    def _own(self) -> Iterator[Seen]:
        """Look at the certificate that is shown."""
        home, name = self._home, self._identity
        path, renewal = (
            home.certificate(name),
            "have it renewed: qekm-server renew, or qekm certificates issue",
        )
        if not path.exists():
            hint = "have an administrator issue one with: qekm certificates issue"
            raise UnknownIdentity(f"there is no certificate {path}", hint=hint)
        chain = certificates.read_pem(path.read_bytes())
        if not chain:
            raise BadCertificate(f"{path} holds no certificate that can be read", hint=renewal)
        yield from certificates.fits(path, home.key(name))
        shown = certificates.Pair(path.name, chain, self._trust(), "", renewal)
        yield from certificates.judge(shown, self._now())

    def _health(self) -> Iterator[Seen]:
        """Ask the service of this home whether it is well; the probe needs no certificate."""
        told = self._home.running("server")
        if told is None or not told.ports.get("health"):
            yield unseen("it tells no port for probes")
            return
        state = probe(told.ports["health"])
        if state == "SERVING":
            yield fine("it answers its probe")
        elif state == "NOT_SERVING":
            yield doubtful("it is about to stop", "qekm server status")
        else:
            what = f"the service (pid {told.pid}) does not answer its probe: it hangs ({state})"
            yield broken(what, f"top -H -p {told.pid}; qekm server stop --signal, then qekm server start")

    def _name(self) -> Iterator[Seen]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            told = f"the name {self._host} has no address: {error.strerror}"
            yield broken(told, f"getent hosts {self._host}; see /etc/hosts and /etc/resolv.conf")
            return
        yield fine(f"{self._host} is {', '.join(dict.fromkeys(str(each[4][0]) for each in found))}")

    def _connect(self) -> Iterator[Seen]:
        try:
            with socket.create_connection((self._host, self._port), handshake.PATIENCE_S):
                yield fine(f"{self._target} takes connections")
        except ConnectionRefusedError:
            yield broken(f"nothing listens at {self._target}", "there: qekm server status; compare the port")
        except TimeoutError:
            told = f"{self._target} does not answer at all: the machine is off, or a firewall drops it"
            yield broken(told, f"ping {self._host}; compare the table of ports in the firewall")
        except OSError as error:
            yield broken(f"no way to {self._target}: {error.strerror}", "ip route; ip address")

    def _shake(self) -> Iterator[Seen]:
        home, name = self._home, self._identity
        shaken = handshake.shake(self._host, self._port, home.certificate(name), home.key(name))
        return handshake.decide(shaken, self._host, self._trust(), self._now())

    def _service(self) -> Iterator[Seen]:
        """Ask for the version, for which nobody needs a password."""
        from qekm.v1 import server_pb2 as pb

        with self._open() as client:
            begun = self._now()
            told = client.server.GetVersion(pb.GetVersionRequest(), timeout=CALL_S)
            ended = self._now()
        theirs = told.time.ToDatetime(UTC) if told.HasField("time") else None
        yield from answers.versions(told.version, __version__)
        yield from answers.clocks(theirs, begun + (ended - begun) / 2)

    def _status(self) -> Iterator[Seen]:
        """Ask for all that the other steps judge; without a session nothing is asked, nor broken."""
        from qekm_cli.doctor.asking import ask

        try:
            with self._open() as client:
                told = ask(client)
        except (PasswordNeeded, NotAllowed, IdentityError) as error:
            self._told = {}
            yield unseen(error.message, _LOGIN if isinstance(error, PasswordNeeded) else error.advice)
            return
        status = told["status"]
        self._told = {
            "gateways": [*answers.gateways(status["gateways"], status["version"])],
            "drives": [*answers.drives(status["degraded"], status["drive_count"])],
            "keys": [*answers.keys(told["groups"])],
            "peers": [*answers.peers(told["peers"])],
        }
        yield from answers.degraded(status["degraded"])


def _away() -> list[Seen]:
    """Return why nothing on the way is looked at: the processes' step says what to do."""
    return [unseen("the service does not run here")]


def probe(port: int) -> str:
    """Return what a service's probe says, or grpc's reason why it says nothing."""
    import qekm.rpc  # noqa: F401  TLS 1.3 only, before grpc

    # isort: split
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            told = stub.Check(health_pb2.HealthCheckRequest(), timeout=_PROBE_S)
        except grpc.RpcError as error:
            return str(error.code().name).lower().replace("_", " ")
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(told.status))


def examine(link: Link, before: Iterable[Finding]) -> Iterator[Finding]:
    """Yield how each step on the way ended; `before`: those of the home."""
    return walk(LINK_STEPS, link.looks(), before)
