"""A drive client written from docs/protocol.md alone: it imports nothing of this project.

`python stranger HOST:PORT … --key drive.key --cert drive.pem --anchor HEX --serial S --wwnn HEX` creates a
key and then asks for it again by its DKi, as a drive that reads the tape would. It prints one line of JSON
for each: ask, server, seconds, alias, dki, key_sha256, and end ("86" if COMPLETE came); or ends with 1 and
a line on stderr. With `--every S` it does so every S seconds, until it is killed.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import sys
import time
from typing import Any

from cryptography import x509
from frames import UnbelievedError
from session import NOT_HERE, RefusedError, Session

CONNECT, PAUSES, AWAY = 1, (0, 0.5, 1, 2), 30  # seconds (section 6)
Server = tuple[str, int]
back_at: dict[Server, float] = {}  # when a server that gave no answer is asked in its place again


def converse(options: argparse.Namespace, dki: bytes = b"") -> dict[str, Any]:
    """Do one exchange, at one server after the other with the same mount id (section 6)."""
    mount_id, began, gone = secrets.token_bytes(16), time.monotonic(), set[Server]()
    trouble = OSError("no server is left")
    for pause in PAUSES:
        left = [server for server in sorted(options.server, key=is_away) if server not in gone]
        time.sleep(pause if left else 0)
        for server in left:
            try:
                with socket.create_connection(server, CONNECT) as link:
                    facts = Session(link, options, dki).run(mount_id)
                spent = round(time.monotonic() - began, 3)
                return {"server": "{}:{}".format(*server), "seconds": spent, **facts}
            except RefusedError as problem:
                trouble = problem
                gone |= {server} if problem.args[1] == NOT_HERE else set()
            except OSError as problem:
                trouble = problem
                back_at[server] = time.monotonic() + AWAY
    raise trouble


def is_away(server: Server) -> bool:
    """Tell whether a server gave no answer a short time ago: it is asked last."""
    return back_at.get(server, 0) > time.monotonic()


def address(text: str) -> Server:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", type=address, nargs="+")
    for name in ("--key", "--cert", "--serial", "--anchor", "--wwnn"):
        kind = bytes.fromhex if name in ("--anchor", "--wwnn") else str
        parser.add_argument(name, type=kind, required=True)
    parser.add_argument("--volser", default="STR001L4")
    parser.add_argument("--late", action="store_true", help="name the DKi only when QUERY_DKI asks for it")
    parser.add_argument("--every", type=float, help="do it again and again, with these seconds between")
    return parser.parse_args()


def main() -> int:
    """Create a key, then ask for it again."""
    options = parse_options()
    while True:
        try:
            created = converse(options)
            print(json.dumps({"ask": "creation", **created}), flush=True)
            read = converse(options, bytes.fromhex(created["dki"]))
            print(json.dumps({"ask": "translation", **read}), flush=True)
        except (OSError, ValueError, x509.ExtensionNotFound, UnbelievedError) as problem:
            print(f"stranger: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
            return 1
        if options.every is None:
            return 0 if read["key_sha256"] == created["key_sha256"] else 1
        time.sleep(options.every)


if __name__ == "__main__":
    sys.exit(main())
