"""A process that sends junk to the drives' port as fast as it is answered, and tells what came of it.

    python -m tests.faults.junk_sender PORT FRAMES SEED

One line of JSON on standard output: frames and connections sent, and the ERROR frames and connection resets
that came, beside what was to come.
"""

from __future__ import annotations

import json
import random
import socket
import sys
from collections import deque
from dataclasses import asdict, dataclass
from itertools import cycle

from tests.faults.junk import Script, make_scripts

SOURCES = [f"127.0.0.{host}" for host in range(2, 202)]
_SCRIPTS = 2_000  # then from the beginning
_OPEN = 64  # connections at a time
_PATIENCE_S = 20.0
_ERROR = b"QEKM\x01\xff"  # how an ERROR frame begins
_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen at connect, when it is known to be free


@dataclass(slots=True)
class Tally:
    """What was sent and what came."""

    frames: int = 0
    connections: int = 0
    errors: int = 0
    errors_due: int = 0
    refusals_due: int = 0
    resets: int = 0


def start(port: int, source: str, script: Script, tally: Tally) -> socket.socket:
    """Open a connection and say everything."""
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(_PATIENCE_S)
    client.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    client.sendall(script.data)
    if script.hangs_up:
        client.shutdown(socket.SHUT_WR)
    tally.connections += 1
    tally.frames += script.frames
    tally.errors_due += script.errors
    tally.refusals_due += script.refusals
    return client


def finish(client: socket.socket, tally: Tally) -> None:
    """Hear the answers until the gateway ends the connection."""
    answers = b""
    try:
        while received := client.recv(65_536):
            answers += received
    except ConnectionResetError:
        tally.resets += 1
    client.close()
    tally.errors += answers.count(_ERROR)


def main(port: int, frames: int, seed: int) -> Tally:
    """Send at least so many frames."""
    tally = Tally()
    scripts = cycle(make_scripts(random.Random(seed), _SCRIPTS))
    sources = cycle(SOURCES)
    opened: deque[socket.socket] = deque()
    while tally.frames < frames:
        opened.append(start(port, next(sources), next(scripts), tally))
        if len(opened) == _OPEN:
            finish(opened.popleft(), tally)
    while opened:
        finish(opened.popleft(), tally)
    return tally


if __name__ == "__main__":
    print(json.dumps(asdict(main(*map(int, sys.argv[1:])))))
