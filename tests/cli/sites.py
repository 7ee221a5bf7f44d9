"""A key manager of real processes that a test administers by commands, as they are installed."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qekm import __version__
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.secret import Secret
from qekm_cli.originals import app
from tests.system.processes import environment

from .transcripts import Stage

PASSWORDS = {
    **{name: secrets.token_urlsafe(12) for name in ("right", "wrong", "new", "keystore", "store")},
    "short": "seven77",
    "": "",
}
FREE = dict.fromkeys(
    (
        *("grpc.port", "health.port", "metrics.port", "gateway.metrics.port"),
        *("TransportListener.tcp.port", "TransportListener.ssl.port"),
    ),
    "0",
)
KEEPING = FREE | {"keystore.protect": "none"}
SCRIPT = "#!{}\nimport sys\nfrom {} import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
OTHERS = {
    "qekm": "qekm_cli.app",
    "qekm-server": "qekm.server",
    "qekm-gateway": "qekm_gateway.server",
}


def names() -> list[str]:
    """Return the names of the commands."""
    return [str(command.name) for command in app.registered_commands]


def programs(directory: Path, python: str = sys.executable) -> Path:
    """Write the commands, and the programs that they start, as pip does."""
    directory.mkdir()
    directory.chmod(0o755)
    for name, module in {**dict.fromkeys(names(), "qekm_cli.originals"), **OTHERS}.items():
        (directory / name).write_text(SCRIPT.format(python, module))
        (directory / name).chmod(0o755)
    return directory


class Site:
    """A key manager in a directory of its own, and the commands that administer it."""

    def __init__(self, path: Path, bin_: Path, under: Sequence[str] = (), **more: str) -> None:
        self.home, self.folder, self.programs = Home(path), path.parent, bin_
        self.under, self.more = under, more  # a command that becomes each of ours; its environment
        self.others: list[socket.socket] = []
        (self.folder / "password").write_text(PASSWORDS["right"] + "\n")

    @property
    def environ(self) -> dict[str, str]:
        """Return what a command finds the key manager by."""
        return environment(QEKM_HOME=str(self.home.path), **self.more)

    def make(self, **wanted: Any) -> Site:
        """Make the key manager."""
        keys = {"keys": 2, "properties": KEEPING, "command_password": Secret(PASSWORDS["right"].encode())}
        make(self.home, Wanted(**{**keys, **wanted}), now_us)
        return self

    def qekm(self, *words: str, **more: Any) -> str:
        """Run `qekm`, which must end well, and return what it prints."""
        proof = ("--command-password-file", str(self.folder / "password"))
        done = subprocess.run(
            [*self.under, str(self.programs / "qekm"), *words, *proof],
            env=self.environ | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> Site:
        """Start it."""
        self.qekm("server", "start")
        return self

    def end(self) -> None:
        """Leave nothing running."""
        for other in self.others:
            other.close()
        for part in ("gateway", "server"):
            if told := self.home.running(part):
                os.kill(told.pid, signal.SIGKILL)

    def take(self) -> None:
        """Have another program take the port of drives."""
        port = Settings.load(self.home.config, {})["TransportListener.tcp.port"]
        self.others.append(socket.create_server(("::", port), family=socket.AF_INET6))

    def approve(self) -> None:
        """Approve, as another person, what is waited for."""
        found = json.loads(self.qekm("approvals", "list", "--json"))["approvals"]
        self.qekm("approvals", "approve", found[0]["approval_id"], QEKM_IDENTITY="bob")

    def stage(self, **words: str) -> Stage:
        """Return where its transcripts are played, with what it knows by now."""
        ports: dict[str, int] = {}
        for part in ("server", "gateway"):
            if told := self.home.running(part):
                ports |= told.ports
        known = {name: str(ports.get(name, 0)) for name in ("tcp", "ssl")}
        more = {"home": str(self.home.path), "version": __version__, "export": str(self.folder / "keys.cms")}
        return Stage(self.programs, self.environ, PASSWORDS, {**known, **more, **words}, self.under)
