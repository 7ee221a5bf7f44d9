"""Where the commands of docs/operations.md are typed: one machine stands for all, with a home for each.

`words`: what the page names as an example, and what that is here. SEEN: what a reader fills in, and where it
was seen.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.home import Home
from qekm.properties import PROPERTIES
from qekm.properties.listeners import SSL_PORT
from qekm_gateway.simulator.authority import make_authority
from tests.documents.answers import Answers
from tests.documents.blocks import FIRST, Block
from tests.documents.screen import differs
from tests.documents.terminal import Terminal
from tests.ports import free_port
from tests.system.processes import environment

FREE = ("grpc.port", "health.port", "metrics.port", "gateway.metrics.port", "TransportListener.tcp.port")
KEYS = "16"  # not 1,024, which take a while
SEEN = {
    r"\bID\b": r"qekm approvals approve ([0-9a-f]{8})\b",
    r"\bALIAS\b": r"(?m)^(\S+) .* active ",
    r"\bNAME\.qbk": r"(qekm-[\w-]+\.qbk) is made and proved",
    r"\bSERIAL\b": r"(?m)^olga +operator +in force +\S+ +(\w+)",
}
_SHARE = re.compile(r"share \d\n((?: +\d+  [a-z ]+\n)+)")
_SHARES = 5  # that are made at a time


class Stage:
    """The machines, what was seen on them so far, and what people know."""

    def __init__(self, folder: Path, backups: Path) -> None:
        self.folder, self.screens = folder, ""
        self.authority = make_authority(now_us())
        (folder / "drive-authority.pem").write_bytes(self.authority.certificate.public_bytes(Encoding.PEM))
        self.passwords = {name: secrets.token_urlsafe(12) for name in ("administrator", "old keystore")}
        (folder / "new").write_text(self.passwords["administrator"] + "\n")
        self.waiting: dict[str, Terminal] = {}
        self.events: dict[str, Callable[[], None]] = {}
        self.ssl = {place: free_port() for place in (FIRST, "ekm2", "the other site")}
        self.words = {
            "/mnt/backup": str(backups),
            "/var/lib/qekm": str(self.home(FIRST).path),
            "qekm init ": f"qekm init --keys {KEYS} ",
            "1,024": KEYS,
            "ekm1.example.com:443": f"localhost:{self.ssl[FIRST]}",
            "ekm2.example.com:443": f"localhost:{self.ssl['ekm2']}",
            **{f"ekm{number}.example.com": "localhost" for number in (1, 2, 3)},
        }

    def home(self, place: str) -> Home:
        """Return the home of a machine, or of a person's at another machine."""
        return Home(self.folder / place)

    def environ(self, place: str) -> dict[str, str]:
        """Return what is set where a block is typed; a server in another's place has its SSL port."""
        ports = {PROPERTIES.variable(name): "0" for name in FREE if name in PROPERTIES}
        ports[PROPERTIES.variable(SSL_PORT)] = str(self.ssl.get(place, self.ssl[FIRST]))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return environment(QEKM_HOME=str(self.home(place).path), PATH=path, **ports)

    def play(self, block: Block) -> None:
        """Have happen what a block says, type it, and compare; AssertionError."""
        self._finish(block.place)
        for event in block.events:
            self.events[event]()
        text = self._filled_in(block.text)
        terminal = Terminal(text, self.folder, self.environ(block.place))
        has_ended = terminal.go_on(self._person(block.place), away=True)
        self.screens += terminal.screen
        told = f"line {block.line}, at {block.place}:\n{text}\n{terminal.screen}= {terminal.code}"
        if has_ended:
            assert terminal.code == block.code, f"{told}, not {block.code}"
        else:
            self.waiting[block.place] = terminal
        if block.shown is not None:
            wrong = differs(self._example(block.shown), terminal.screen)
            assert not wrong, f"{told}\n{wrong}"

    def close(self) -> None:
        """Leave nothing running."""
        for terminal in self.waiting.values():
            terminal.close()
        for path in self.folder.iterdir():
            if path.is_dir():
                self.end(path.name)

    def end(self, place: str) -> None:
        """Kill what runs on a machine."""
        for part in ("gateway", "server"):
            if told := self.home(place).running(part):
                os.kill(told.pid, signal.SIGKILL)

    def _person(self, place: str) -> Answers:
        shares = [" ".join(re.findall("[a-z]+", words)) for words in _SHARE.findall(self.screens)]
        return Answers(place, self.passwords, shares[-_SHARES:])

    def _finish(self, place: str) -> None:
        """See what waited at a machine through to its end."""
        if terminal := self.waiting.pop(place, None):
            terminal.go_on(self._person(place))
            self.screens += terminal.screen
            assert terminal.code == 0, terminal.screen

    def _example(self, text: str) -> str:
        """Return what is typed or shown here where the page has an example."""
        for word, meant in self.words.items():
            text = text.replace(word, meant)
        return text

    def _filled_in(self, text: str) -> str:
        """Return commands with what a reader has seen by now."""
        text = self._example(text)
        for word, seen in SEEN.items():
            if re.search(word, text) and (found := re.findall(seen, self.screens)):
                text = re.sub(word, found[-1], text)
        return text
