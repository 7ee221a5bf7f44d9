"""Real receivers of logs, each a process of its own with a place of its own: rsyslogd, systemd's journal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.waiting import wait_for

JOURNALD = Path("/lib/systemd/systemd-journald")
PATIENCE_S = 20.0
RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="16k"{drivers})
module(load="{module}"{options})
input(type="{module}" port="{port}" address="{address}")
template(name="line" type="list") {{ property(name="jsonmesg") constant(value="\\n") }}
action(type="omfile" file="{folder}/received" template="line" fileCreateMode="0600")
"""
DRIVERS = """
 defaultNetstreamDriver="gtls"
 defaultNetstreamDriverCAFile="{pki}/trust.pem"
 defaultNetstreamDriverCertFile="{pki}/server.pem"
 defaultNetstreamDriverKeyFile="{pki}/server.key"
"""
TLS = ' streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{mode}"{peers}'


def needed(program: str | Path, package: str) -> str:
    """Return where a program is, or skip the test for want of a package."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (package {package})")
    return found


@dataclass
class Rsyslog:
    """An rsyslogd on a port of its own: started, stopped and asked what it got."""

    folder: Path
    scheme: str
    pki: Path | None = None
    peer: str = ""  # name in the certificate that a client must show
    port: int = 0
    address: str = "127.0.0.1"
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Return where messages for it go."""
        return f"{self.scheme}://localhost:{self.port}"

    def start(self) -> Rsyslog:
        """Run it until it listens."""
        program = needed("rsyslogd", "rsyslog")
        if self.scheme == "tls" and not [*Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")]:
            pytest.skip("rsyslogd cannot speak TLS (package rsyslog-gnutls)")
        self.folder.mkdir(exist_ok=True)
        self.port = self.port or free_port()
        (self.folder / "conf").write_text(self._configuration())
        words = [program, "-n", "-f", str(self.folder / "conf"), "-i", str(self.folder / "pid")]
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        wait_for(self._listens, f"rsyslogd does not listen: {(self.folder / 'said').read_text()}")
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def messages(self) -> list[dict[str, Any]]:
        """Return what it got, as it understood it."""
        path = self.folder / "received"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def wait(self, count: int, logger: str = "") -> list[dict[str, Any]]:
        """Return the messages, at least so many, of one logger or of all."""

        def enough() -> list[dict[str, Any]] | None:
            found = [each for each in self.messages() if logger in str(each.get("structured-data", ""))]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = wait_for(
            enough, f"of {count} messages there are {len(self.messages())}"
        )
        return found

    def _configuration(self) -> str:
        drivers, options = "", ""
        if self.scheme == "tls":
            drivers = DRIVERS.format(pki=self.pki).replace("\n", "")
            peers = f' permittedPeer=["{self.peer}"]' if self.peer else ""
            options = TLS.format(mode="x509/name" if self.peer else "anon", peers=peers)
        module = "imudp" if self.scheme == "udp" else "imtcp"
        return RSYSLOG.format(
            folder=self.folder,
            drivers=drivers,
            module=module,
            options=options,
            port=self.port,
            address=self.address,
        )

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "said").read_text()
        table = Path("/proc/net/udp" if self.scheme == "udp" else "/proc/net/tcp").read_text()
        return f":{self.port:04X} " in table


@contextmanager
def rsyslog(folder: Path, scheme: str, **options: Any) -> Iterator[Rsyslog]:
    """Run an rsyslogd for a block."""
    server = Rsyslog(folder, scheme, **options).start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Journald:
    """A systemd-journald with a namespace of its own."""

    name: str

    @property
    def socket(self) -> Path:
        """Return where it is spoken to."""
        return Path(f"/run/systemd/journal.{self.name}/socket")

    def entries(self, *words: str) -> list[dict[str, Any]]:
        """Return what it has, as its own reader tells it."""
        command = ["journalctl", f"--namespace={self.name}", "-o", "json", "--all", "--no-pager", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def journald(folder: Path) -> Iterator[Journald]:
    """Run a journal for a block; it takes root, and systemd installed."""
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("systemd-journald is not installed (package systemd)")
    if os.geteuid() != 0:
        pytest.skip("a journal of one's own takes root")
    journal = Journald(f"qekm{os.getpid()}")
    Path("/run/systemd").mkdir(exist_ok=True)
    with (folder / "journald.said").open("ab") as said:
        process = subprocess.Popen([str(JOURNALD), journal.name], stdout=said, stderr=said)
    try:
        wait_for(journal.socket.exists, (folder / "journald.said").read_text())
        yield journal
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        remains: Sequence[Path] = [
            journal.socket.parent,
            *Path("/var/log/journal").glob(f"*.{journal.name}"),
            *Path("/run/log/journal").glob(f"*.{journal.name}"),
        ]
        for path in remains:
            shutil.rmtree(path, ignore_errors=True)
