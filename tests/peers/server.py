"""A server on a host of its own: service and gateway on the usual ports, and the operator who sits there."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qekm.clock import now_us
from qekm.home import Home
from qekm.init import Wanted, make
from qekm_gateway.simulator.link import Server as Address
from tests.peers.namespaces import Host
from tests.peers.operator import Operator
from tests.peers.release import Release
from tests.system.command import QEKM
from tests.system.processes import Estate, Process, environment, run_server

TCP, SSL = 3801, 443
PATIENCE_S = 60.0
ASKING_S = 0.2  # between two questions of an operator
# At the rate of a test a drive asks for more new keys than any drive does in an hour.
PROPERTIES = {
    "keystore.protect": "none",
    "twoPerson": "off",
    "health.port": "0",
    "metrics.port": "0",
    "gateway.metrics.port": "0",
    "TransportListener.tcp.port": str(TCP),
    "TransportListener.ssl.port": str(SSL),
    "drive.creationsPerHour": "1000000",
}


class Server:
    """One server: its host, its home, its processes."""

    def __init__(self, host: Host, home: Path, release: Release | None = None) -> None:
        """release: whose programs it runs, if not this one's."""
        self.host, self.release = host, release
        self.estate = Estate(home)
        self.estate.under = host.inside
        self._operator: Operator | None = None

    @classmethod
    def make(
        cls,
        host: Host,
        home: Path,
        keys: int = 256,
        release: Release | None = None,
        **properties: str,
    ) -> Server:
        """Make the first server of an estate; a property's dots are written as two underscores."""
        wanted = PROPERTIES | {name.replace("__", "."): value for name, value in properties.items()}
        if release:
            hosts = [word for name in (host.name, host.address) for word in ("--host", name)]
            settings = [f"--property={name}={value}" for name, value in release.known(wanted).items()]
            words = ("init", "--home", home, "--keys", str(keys), *hosts, *settings)
            done = run_server(*words, environ=release.environ)
            assert done.returncode == 0, done.stderr
        else:
            make(Home(home), Wanted((host.name, host.address), keys=keys, properties=wanted), now_us)
        return cls(host, home, release)

    @property
    def home(self) -> Home:
        """Its home."""
        return self.estate.home

    @property
    def address(self) -> Address:
        """Where drives connect."""
        return Address(self.host.address, TCP)

    def start(self, environ: Mapping[str, str] | None = None) -> Server:
        """Start what does not run, in this environment, and wait until drives are served."""
        own = self.release.environ if self.release else {}
        self.estate.start(gateway=True, arguments=(), **own, **(environ or {}))
        until(lambda: bool(self.ask("status")["gateways"]), f"{self.host.name} has no gateway")
        return self

    def process(self, name: str) -> Process:
        """Return the running `server` or `gateway`."""
        found: Process | None = getattr(self.estate, name)
        assert found is not None, f"{name} is not running on {self.host.name}"
        return found

    def operate(self, *words: str, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `qekm` on this host as its operator, to its end."""
        return subprocess.run(
            [*self.host.inside, *QEKM, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
            env=environment(QEKM_HOME=str(self.home.path), **environ),
        )

    def ask(self, *words: str) -> Any:
        """Run a command of `qekm` that tells something, and return the document that it prints."""
        _, said, complained = self.order(*words)
        assert said, f"{self.host.name}: qekm {' '.join(words)}: {complained}"
        return json.loads(said)

    def order(self, *words: str) -> tuple[int, str, str]:
        """Run a command of `qekm`; return its exit code and what it said, which is JSON, and complained."""
        if self._operator is None:
            self._operator = Operator(self.host, self.home.path)
        return self._operator.type(*words, "--json")

    def close(self) -> None:
        """End whatever still runs, without asking."""
        self.estate.close()
        if self._operator is not None:
            self._operator.leave()
            self._operator = None


def until(
    holds: Callable[[], bool], complaint: str, patience_s: float = PATIENCE_S, every_s: float = 0.02
) -> float:
    """Wait until something holds and return the seconds that it took; AssertionError with the complaint."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience_s, f"{complaint} (after {patience_s:g} s)"
        time.sleep(every_s)
    return time.monotonic() - begun
