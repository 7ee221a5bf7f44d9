"""The real programs as processes on free ports: what every system test starts, asks, stops and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from qekm.clock import now_us as clock_us
from qekm.home import Home, Running
from qekm.init import Wanted, make
from tests.system.forking import Forked, can_fork, fork_program

MODULES = {"server": "qekm.server", "gateway": "qekm_gateway.server"}
FREE_PORTS = {
    "keystore.protect": "none",
    "grpc.port": "0",
    "health.port": "0",
    "metrics.port": "0",
    "gateway.metrics.port": "0",
    "TransportListener.tcp.port": "0",
    "TransportListener.ssl.port": "0",
}
START_TIMEOUT_S = 90.0  # a very busy two-core machine; usually well under a second
STOP_TIMEOUT_S = 30.0  # three times what the service promises


def environment(**extra: str) -> dict[str, str]:
    """Return an environment without this machine's QEKM_* settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QEKM_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | extra


def run_server(
    *arguments: str | Path,
    timeout_s: float = 60.0,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run `qekm-server` with these arguments to its end and return what it said."""
    command = [sys.executable, "-m", MODULES["server"], *map(str, arguments)]
    env = environment(**(environ or {}))
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, env=env, **options
    )


class Process:
    """One started program, its output in a file of the home."""

    forked = False  # whether programs are forked where that can be: a rig that starts many sets it

    def __init__(
        self,
        home: Home,
        name: str,
        *arguments: str | Path,
        pass_fds: tuple[int, ...] = (),
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = (),
        under: Sequence[str] = (),
    ) -> None:
        """Start it; `program`: a module and its first arguments that take the place of the real one.

        under: a command that becomes it, as setpriv does.
        """
        self.home, self.name = home, name
        self.output = home.path / f"{name}.out"
        words = [*(program or [MODULES[name]]), "run", "--home", str(home.path), *map(str, arguments)]
        env = environment(**(environ or {}))
        self._child: Forked | subprocess.Popen[bytes]
        if self.forked and not pass_fds and can_fork(env, under):
            self._child = fork_program(words[0], words[1:], self.output, env, under)
            return
        with self.output.open("ab") as output:
            self._child = subprocess.Popen(
                [*under, sys.executable, "-m", *words],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=env,
                pass_fds=pass_fds,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> Running:
        """Return what it announced; AssertionError with its output if it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            told = self.home.running(self.name)
            if told is not None and told.pid == self.pid:
                return told
            assert self.alive, f"{self.name} ended with {self._child.returncode}:\n{self.said()}"
            time.sleep(0.02)
        raise AssertionError(f"{self.name} was not ready in {timeout_s} s:\n{self.said()}")

    def said(self) -> str:
        """Return everything it wrote so far."""
        return self.output.read_text(errors="replace")

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for its end and return its exit code."""
        return self._child.wait(timeout_s)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to end (SIGTERM) and return its exit code; one that does not end in time is killed."""
        if self.alive:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout_s} s:\n{self.said()}") from None

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._child.kill()
        self._child.wait(STOP_TIMEOUT_S)  # one that waits for a slow disk ends when that has answered


class Estate:
    """A key manager in a directory of its own: made once, started, stopped and killed at will."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.program: tuple[str, ...] = ()  # runs in the service's place, if not empty
        self.under: tuple[str, ...] = ()  # becomes each process, as what enters a host of a network
        self.server: Process | None = None
        self.gateway: Process | None = None

    @classmethod
    def make(cls, path: Path, *arguments: str, keys: int = 32, **properties: str) -> Estate:
        """Initialise a key manager in `path` with a small pool, free ports and these properties.

        A property's dots are written as two underscores: `drive__acceptUnknownDrives="false"`. With arguments
        `qekm-server init` is run with them; without, what it calls is called, which saves a second.
        """
        wanted = FREE_PORTS | {name.replace("__", "."): value for name, value in properties.items()}
        if arguments:
            settings = [f"--property={name}={value}" for name, value in wanted.items()]
            done = run_server("init", "--home", path, "--keys", str(keys), *settings, *arguments)
            assert done.returncode == 0, done.stderr
        else:
            make(Home(path), Wanted(keys=keys, properties=wanted), clock_us)
        return cls(path)

    def start(self, *, gateway: bool = True, arguments: tuple[str, ...] = (), **environ: str) -> Estate:
        """Start what does not run yet and wait until it listens; returns the estate."""
        if self.server is None or not self.server.alive:
            self.server = Process(
                self.home, "server", *arguments, environ=environ, program=self.program, under=self.under
            )
            self.server.wait_ready()
        if gateway and (self.gateway is None or not self.gateway.alive):
            self.gateway = Process(self.home, "gateway", environ=environ, under=self.under)
            self.gateway.wait_ready()
        return self

    def stop(self) -> dict[str, int]:
        """Stop what runs, the gateway first; returns the exit codes by name."""
        codes = {}
        for name in ("gateway", "server"):
            process: Process | None = getattr(self, name)
            if process is not None:
                codes[name] = process.stop()
                setattr(self, name, None)
        return codes

    def kill(self, name: str = "server") -> None:
        """Kill the service or the gateway (-9)."""
        process: Process | None = getattr(self, name)
        assert process is not None, f"{name} is not running"
        process.kill()
        setattr(self, name, None)

    def close(self) -> None:
        """End whatever still runs, without asking."""
        for name in ("gateway", "server"):
            if getattr(self, name) is not None:
                self.kill(name)

    @property
    def ports(self) -> dict[str, int]:
        """Ports in use now, of both processes: grpc, health, tcp."""
        told = [self.home.running(name) for name in MODULES]
        return {name: port for each in told if each is not None for name, port in each.ports.items()}

    def client(self, identity: str = "administrator") -> AbstractContextManager[Any]:
        """Return a synchronous client of the service (a context manager)."""
        from qekm.client import connect

        return connect(home=self.home.path, identity=identity)

    def unlock(self, client: Any) -> None:
        """Open the keystore with the key file for whom a client shows."""
        from qekm.v1.keystore_pb2 import UnlockKeystoreRequest
        from qekm.v1.slots_pb2 import Proof

        proof = Proof(key_file=self.home.root_key.read_bytes())
        client.keystore.UnlockKeystore(UnlockKeystoreRequest(proof=proof))

    def client_async(self, identity: str = "administrator") -> AbstractAsyncContextManager[Any]:
        """Return an asynchronous client of the service (a context manager)."""
        from qekm.client import connect_async

        return connect_async(home=self.home.path, identity=identity)

    def wait_gateway(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the service sees a gateway connected."""
        from qekm.v1.server_pb2 import GetStatusRequest

        deadline = time.monotonic() + timeout_s
        with self.client() as client:
            while not client.server.GetStatus(GetStatusRequest()).gateways:
                assert time.monotonic() < deadline, "no gateway connected"
                time.sleep(0.05)


@contextmanager
def made(path: Path, *arguments: str, keys: int = 32, **properties: str) -> Iterator[Estate]:
    """Make an estate for a block and leave no process of it behind."""
    estate = Estate.make(path, *arguments, keys=keys, **properties)
    try:
        yield estate
    finally:
        estate.close()
