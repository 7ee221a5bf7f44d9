"""Hosts on a wire: each a network namespace, joined by veth pairs to a bridge in a namespace of its own.

    with Network("a", "b") as network:
        a, b = network["a"], network["b"]
        subprocess.run([*a.inside, "ping", "-c", "1", b.address])
        with a.entered():
            ...                  # sockets that this thread makes here are a's

Nothing of it is in the machine's own network. What is left of a test that died goes when the next one begins:
the names hold the process id. Needs root, ip, nft and nsenter; UnavailableError says what is missing.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType

TOOLS = ("ip", "nft", "nsenter")
PREFIX = "qekm"
_HUB = "hub"
_PLACE = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_numbers = count(1)


class UnavailableError(Exception):
    """This machine cannot have hosts of its own; the text says why."""


class Host:
    """One host: its own interfaces, addresses, ports and packet filter."""

    def __init__(self, name: str, namespace: str, address: str) -> None:
        self.name, self.namespace, self.address = name, namespace, address

    @property
    def file(self) -> Path:
        """The file that a thread enters the host by."""
        return _PLACE / self.namespace

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that a command begins with to run here; the process keeps its id."""
        return ("nsenter", f"--net={self.file}", "--")

    def run(self, *words: str, given: str = "") -> str:
        """Run a command here to its end and return what it printed; UnavailableError if it fails."""
        return run(*self.inside, *words, given=given)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the sockets that this thread makes in the block be of this host; other threads stay."""
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            _enter(self.file)
            try:
                yield
            finally:
                _set(before.fileno())


class Network:
    """Hosts that reach each other and nobody else, by name; a context manager."""

    def __init__(self, *names: str) -> None:
        self._tag = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._hosts = {
            name: Host(name, f"{self._tag}-{name}", f"10.77.0.{number}")
            for number, name in enumerate(names, 1)
        }

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __enter__(self) -> Network:
        _require()
        sweep()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _make(self) -> None:
        hub = f"{self._tag}-{_HUB}"
        run("ip", "netns", "add", hub)
        run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", hub, "link", "set", "bridge", "up")
        for number, host in enumerate(self._hosts.values(), 1):
            run("ip", "netns", "add", host.namespace)
            port = f"port{number}"
            ends = ("type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            run("ip", "-n", hub, "link", "add", port, *ends)
            run("ip", "-n", hub, "link", "set", port, "master", "bridge", "up")
            run("ip", "-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            run("ip", "-n", host.namespace, "link", "set", "lo", "up")
            run("ip", "-n", host.namespace, "link", "set", "eth0", "up")

    def _remove(self) -> None:
        for namespace in _namespaces(self._tag):
            _destroy(namespace)


def sweep() -> None:
    """Remove the hosts of tests that died, and what still runs there."""
    for namespace in _namespaces(PREFIX):
        owner = namespace.split("-")[1]
        if not Path("/proc", owner).exists():
            _destroy(namespace)


def run(*words: str, given: str = "") -> str:
    """Run a command to its end and return what it printed; UnavailableError with what it complained of."""
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{' '.join(words)}: {error}") from None
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _require() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("network namespaces need root")
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise UnavailableError(f"{tool} is not installed")


def _namespaces(prefix: str) -> list[str]:
    found = sorted(_PLACE.glob(f"{prefix}-*")) if _PLACE.is_dir() else []
    return [path.name for path in found]


def _destroy(namespace: str) -> None:
    """End what runs in a namespace, and remove it; another test may be doing the same."""
    with suppress(UnavailableError):
        for pid in run("ip", "netns", "pids", namespace).split():
            if int(pid) != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", namespace)


def _enter(namespace: Path) -> None:
    with namespace.open("rb") as handle:
        _set(handle.fileno())


def _set(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
