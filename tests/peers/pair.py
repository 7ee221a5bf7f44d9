"""Servers of one estate, joined as their operators join them: invited, asked, compared, let in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qekm.allocator import POOL
from qekm.clock import now_us
from qekm.errors import EXIT_CODES, UnavailableError
from qekm_gateway.simulator.authority import make_authority
from tests.peers.agreeing import unprotected
from tests.peers.namespaces import Host, Network
from tests.peers.release import Release
from tests.peers.server import ASKING_S, PROPERTIES, SSL, Server, until
from tests.peers.site import Site, running, sited, trust
from tests.system.forking import Forked, fork_program
from tests.system.processes import MODULES, environment

_KEY = re.compile(r"this one has the key\n\s+([0-9a-f ]+)\n")
_LOST = re.compile(r"error: (server \S+ went away|not connected: .+)$", re.MULTILINE)  # and not back yet
_PATIENCE_S = 120.0
_TICKS_S = 3.0  # of the upkeep, which looks every second


def join(
    first: Server,
    host: Host,
    home: Path,
    name: str = "",
    release: Release | None = None,
    **properties: str,
) -> Server:
    """Have a server of the estate invite one to a host, and let it in; it is not started.

    Unless told otherwise its new keys are protected by its peer, and it makes no backups.
    """
    name, file = name or host.name, home.with_suffix(".invitation")
    file.unlink(missing_ok=True)
    own = f"{first.host.address}:{SSL}"
    words = ("--host", host.address, "--own-address", own, "--output", str(file))
    invited = first.ask("peers", "invite", name, *words)
    asking = _asking(host, home, file, invited["fingerprint"], release, properties)
    output = home.with_suffix(".joining")
    try:
        until(lambda: asking.poll() is not None or "\nwaiting;" in output.read_text(), "it does not wait")
        found = _KEY.search(output.read_text())
        assert found is not None, output.read_text()
        key = ("--fingerprint", found[1].replace(" ", ""), "--key-file", str(first.home.root_key))
        first.ask("peers", "accept", name, *key)
        assert asking.wait(_PATIENCE_S) == 0, output.read_text()
    finally:
        asking.kill()
        asking.wait(_PATIENCE_S)
    return Server(host, home, release)


def _asking(
    host: Host,
    home: Path,
    file: Path,
    fingerprint: str,
    release: Release | None,
    properties: Mapping[str, str],
) -> Forked | subprocess.Popen[bytes]:
    """Start on a host what `qekm peers join` starts."""
    wanted = PROPERTIES | {"keystore.protect": "auto"}
    wanted |= {name.replace("__", "."): value for name, value in properties.items()}
    wanted = release.known(wanted) if release else wanted
    words = [word for name, value in wanted.items() for word in ("--property", f"{name}={value}")]
    output = home.with_suffix(".joining")
    output.write_bytes(b"")
    words = ["join", str(file), "--home", str(home), "--yes-fingerprint", fingerprint, *words]
    if release is None:
        return fork_program(MODULES["server"], words, output, environment(), host.inside)
    with output.open("ab") as said:
        command = [*host.inside, sys.executable, "-m", MODULES["server"], *words]
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment(**release.environ))


def peers(server: Server) -> list[dict[str, Any]]:
    """Return what a server tells of the others."""
    rows = server.ask("peers", "status")["peers"]
    return [row for row in rows if not row["self"] and row["state"] == "joined"]


def caught_up(*servers: Server, within: int = 0) -> bool:
    """Tell whether the servers are linked and each has all that the others have, but so many records.

    within: what is under way at any time while drives work.
    """
    rows = [row for server in servers for row in peers(server)]
    return bool(rows) and all(
        row["connected"] and row["lag_records"] <= within and row["behind_records"] <= within for row in rows
    )


def settle(*servers: Server) -> None:
    """Wait until nothing changes any more: who stops first would not have what the other one does then.

    A pool of which drives took the last is filled up a second later, and READY when a peer has its keys.
    """

    def rests() -> bool:
        return caught_up(*servers) and not any(map(unprotected, servers))

    until(rests, "the servers do not have the same", every_s=ASKING_S)
    time.sleep(_TICKS_S)
    until(rests, "the servers do not have the same again", every_s=ASKING_S)


def differences(server: Server) -> list[str]:
    """Have a server compare its store with the others' now; return the rows that differ.

    The end of a stream may be late: of a cut that was too short for it to be noticed while it lasted, TCP is
    slow to recover. Then it is compared over the next one; nothing else is tried again.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not (told := server.order("peers", "sync"))[1]:
        code, _, complained = told
        assert code == EXIT_CODES[UnavailableError] and _LOST.search(complained), f"{code}: {complained}"
        assert time.monotonic() < deadline, complained
        time.sleep(ASKING_S)
    return [each for row in json.loads(told[1])["peers"] for each in row["differences"]]


def protected(home: Path) -> dict[str, str]:
    """Return how a first server protects new keys if nothing else is said: by backups until it has a peer."""
    target = home.with_suffix(".backups")
    target.mkdir(exist_ok=True)
    return {"keystore__protect": "auto", "backup__target": str(target), "backup__sameDisk": "true"}


@contextmanager
def paired(
    network: Network,
    folder: Path,
    keys: int = 512,
    release: Release | None = None,
    **properties: str,
) -> Iterator[Site]:
    """Have alpha and beta serve drives together for a block, each with all that the other has.

    keys: that each has to give to begin with, READY.
    """
    wanted = protected(folder / "alpha") | properties
    alpha = Server.make(network["alpha"], folder / "alpha", keys, release, **wanted)
    authority = make_authority(now_us())
    with running(alpha):
        trust(alpha, authority)
        beta = join(alpha, network["beta"], folder / "beta", release=release, **properties)
        with running(beta):
            if keys > POOL:  # which is what beta makes by itself
                beta.ask("keys", "generate", str(keys), "--key-file", str(beta.home.root_key))
            until(lambda: caught_up(alpha, beta), "the servers do not have the same", every_s=ASKING_S)
            until(
                lambda: ready(alpha) > 0 and ready(beta) > 0, "a server has no keys to give", every_s=ASKING_S
            )
            until(lambda: not (unprotected(alpha) or unprotected(beta)), "keys are not READY")
            yield sited(network, folder, authority, (alpha, beta))


def ready(server: Server) -> int:
    """Return how many keys a server has to give."""
    return int(server.ask("status")["ready_key_count"])
