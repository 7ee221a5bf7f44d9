"""Two real servers of one estate: one that invites, and one that joins it as an operator has it join."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from qekm.home import Home
from tests.ports import free_port
from tests.system.command import QEKM, run_qekm
from tests.system.processes import FREE_PORTS, START_TIMEOUT_S, Estate, environment

PASSWORD = "a long way home"
SETTINGS = [word for name, value in FREE_PORTS.items() for word in ("--property", f"{name}={value}")]
_KEY = re.compile(r"this one has the key\n\s+([0-9a-f ]+)\n")


class Joining:
    """`qekm peers join` in a process of its own."""

    def __init__(self, home: Home, invitation: Path, fingerprint: str, environ: Mapping[str, str]) -> None:
        self.home, self._output = home, home.path.with_suffix(".joining")
        words = [*QEKM, "--home", str(home.path), "peers", "join", str(invitation)]
        words += ["--yes-fingerprint", fingerprint, *SETTINGS]
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                words,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=environment(**environ),
                start_new_session=True,  # both processes of it are ended together
            )

    @property
    def remains(self) -> list[str]:
        """Return what is in its home, but for what is never finished and cleared away by the next."""
        path = self.home.path
        return sorted(each.name for each in path.iterdir()) if path.exists() else []

    def said(self) -> str:
        """Return what it has said so far."""
        return self._output.read_text()

    def wait_waiting(self) -> str:
        """Return the fingerprint of its key once it waits to be let in."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while "\nwaiting;" not in self.said():
            assert self._child.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        found = _KEY.search(self.said())
        assert found is not None
        return found[1].replace(" ", "")

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return self._child.wait(START_TIMEOUT_S)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it and the program that it has started, if it still runs."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)
        self._child.wait(START_TIMEOUT_S)


class Inviting:
    """A running server, the password that opens its keystore, and what it invites."""

    def __init__(self, estate: Estate, folder: Path) -> None:
        self.estate, self.folder = estate, folder
        self.password = folder / "password"

    @classmethod
    def make(cls, folder: Path) -> Inviting:
        """Make a key manager and start it."""
        made = cls(Estate(folder / "a"), folder)
        made.password.write_text(f"{PASSWORD}\n")
        words = ("--host", "127.0.0.1", "--password-file", str(made.password))
        port = str(free_port())  # for who was told of it, it is the same after a start
        made.estate = Estate.make(folder / "a", *words, twoPerson="off", TransportListener__ssl__port=port)
        made.estate.start(gateway=False)
        return made

    @property
    def home(self) -> Home:
        """Return its home."""
        return self.estate.home

    def invite(self, name: str = "b") -> tuple[Path, str]:
        """Return the file of an invitation and the fingerprint of this server's key."""
        file = self.folder / f"{name}.invitation"
        file.unlink(missing_ok=True)
        own = f"127.0.0.1:{self.estate.ports['ssl']}"
        words = ["peers", "invite", name, "--host", "127.0.0.1", "--own-address", own, "--output", str(file)]
        done = run_qekm(self.home, *words, "--json")
        assert done.returncode == 0, done.stderr
        return file, json.loads(done.stdout)["fingerprint"]

    def accept(self, name: str, fingerprint: str) -> subprocess.CompletedProcess[str]:
        """Let a server in."""
        words = ["peers", "accept", name, "--fingerprint", fingerprint, "--password-file", str(self.password)]
        return run_qekm(self.home, *words)

    def peers(self) -> dict[str, dict[str, object]]:
        """Return what is told of the estate's servers, by name."""
        done = run_qekm(self.home, "peers", "list", "--json")
        assert done.returncode == 0, done.stderr
        return {row["name"]: row for row in json.loads(done.stdout)["peers"]}

    def refusals(self) -> list[str]:
        """Return what was refused so far, as the trail tells it."""
        done = run_qekm(self.home, "audit", "list", "--json")
        assert done.returncode == 0, done.stderr
        records = json.loads(done.stdout)["records"]
        return [f"{each['actor']}: {each['message']}" for each in records if each["event"] == "rpc.refuse"]

    def remove(self, name: str) -> None:
        """Let a server go, or take its invitation back."""
        done = run_qekm(self.home, "peers", "remove", name, "--yes")
        assert done.returncode == 0, done.stderr

    @contextmanager
    def joining(
        self, invitation: Path, fingerprint: str, home: str = "b", **environ: str
    ) -> Iterator[Joining]:
        """Have a server ask to be let in, and leave no process of that behind."""
        joining = Joining(Home(self.folder / home), invitation, fingerprint, environ)
        try:
            yield joining
        finally:
            joining.end()
