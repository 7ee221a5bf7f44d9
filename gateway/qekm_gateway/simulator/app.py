"""`qekm-simulator`: a simulated tape library at the command line.

Exit codes: 0 done; 2 a command line that cannot be, or a file that is not there; 3 a drive's check condition,
whose sense is printed; 4 a diagnosis that failed. Results are one line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from qekm.dkp.codes import Ask
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.cartridge import create_cartridge, load_cartridge
from qekm_gateway.simulator.diagnosis import Bench, Status, run_tests
from qekm_gateway.simulator.errand import Errand, Outcome
from qekm_gateway.simulator.folder import dump_authority, dump_drive, load_authority, load_drive
from qekm_gateway.simulator.library import MOUNT_ID_LENGTH, Library
from qekm_gateway.simulator.link import parse_server
from qekm_gateway.simulator.oracle import recorder
from qekm_gateway.simulator.sense import CheckCondition

USAGE_EXIT, CHECK_CONDITION_EXIT, DIAGNOSIS_EXIT = 2, 3, 4
LIBRARY_SERIAL = "QEKMSIM0001"
# The drives of the original's guide; the first one's WWNN is that of the protocol's vectors.
FIRST_DRIVES = {
    "001300000392": bytes.fromhex("500308c09e4a1001"),
    "001310000363": bytes.fromhex("500308c09e4a1005"),
}
_ASKS = {ask.value.replace(" ", "-"): ask for ask in Ask}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    run = cast(Callable[[argparse.Namespace], int], options.run)
    try:
        return run(options)
    except CheckCondition as condition:
        return _complain(str(condition), CHECK_CONDITION_EXIT)
    except KeyError as error:
        return _complain(f"no drive {error.args[0]} in {options.library}", USAGE_EXIT)
    except (OSError, ValueError) as error:
        return _complain(str(error), USAGE_EXIT)


def _init(options: argparse.Namespace) -> int:
    authority = make_authority(_now_us())
    dump_authority(options.library, authority)
    for serial, wwnn in FIRST_DRIVES.items():
        dump_drive(options.library, make_drive(authority, serial, _now_us(), wwnn, options.rsa))
    _tell({"authority": str(options.library / "authority" / "ca.pem"), "drives": list(FIRST_DRIVES)})
    return 0


def _add_drive(options: argparse.Namespace) -> int:
    authority = load_authority(options.library)
    drive = make_drive(authority, options.serial, _now_us(), options.wwnn, options.rsa)
    dump_drive(options.library, drive)
    _tell({"drive": drive.serial, "wwnn": drive.wwnn.hex()})
    return 0


def _write(options: argparse.Namespace) -> int:
    library = _library(options)
    exists = options.cartridge.exists()
    if not exists and not options.volser:
        return _complain("a new cartridge needs --volser", USAGE_EXIT)
    cartridge = (
        load_cartridge(options.cartridge) if exists else create_cartridge(options.cartridge, options.volser)
    )
    if options.volser and cartridge.volser != options.volser:
        return _complain(f"{options.cartridge} is {cartridge.volser}", USAGE_EXIT)
    library.insert(cartridge)
    library.load(cartridge.volser, options.drive)
    with ExitStack() as stack:
        source = sys.stdin.buffer if options.source == "-" else stack.enter_context(_open(options.source))
        counted = _Counted(source)
        outcome = library.write(
            options.drive, cast(BinaryIO, counted), None if options.clear else _ASKS[options.ask]
        )
    library.unload(options.drive)
    library.eject(cartridge.volser)
    _tell(_facts(options, library, outcome) | {"volser": cartridge.volser} | counted.facts())
    return 0


def _read(options: argparse.Namespace) -> int:
    library = _library(options)
    cartridge = load_cartridge(options.cartridge)
    library.insert(cartridge)
    library.load(cartridge.volser, options.drive)
    with ExitStack() as stack:
        to_pipe = options.output == "-"
        sink = sys.stdout.buffer if to_pipe else stack.enter_context(Path(options.output).open("wb"))
        counted = _Counted(sink)
        outcome = library.read(options.drive, counted.write, _ASKS[options.ask])
        sink.flush()
    library.unload(options.drive)
    library.eject(cartridge.volser)
    facts = _facts(options, library, outcome) | {"volser": cartridge.volser} | counted.facts()
    _tell(facts, sys.stderr.fileno() if to_pipe else sys.stdout.fileno())
    return 0


def _request(options: argparse.Namespace) -> int:
    library = _library(options)
    errand = Errand(
        ask=_ASKS[options.ask],
        volser=options.volser,
        mount_id=options.mount or os.urandom(MOUNT_ID_LENGTH),
        library_serial=LIBRARY_SERIAL,
        dki=options.dki,
        late=options.late,
    )
    outcome = library.request(options.drive, errand)
    _tell(_facts(options, library, outcome) | {"volser": errand.volser, "mount": errand.mount_id.hex()})
    return 0


def _diagnose(options: argparse.Namespace) -> int:
    library = _library(options)
    drive, failed = library.drives[options.drive], False
    for server in library.servers:
        for result in run_tests(Bench(server, drive, library.anchors, os.urandom, _now_us)):
            failed |= result.status is not Status.PASSED
            _tell(
                {
                    "address": result.address,
                    "test": result.test.name.capitalize(),
                    "status": result.status.name.lower(),
                    "message": result.message,
                    "elapsed_us": result.elapsed_us,
                }
            )
    return DIAGNOSIS_EXIT if failed else 0


class _Counted:
    """A stream that counts and hashes what passes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._length = 0
        self._hash = sha256()

    def read(self, size: int) -> bytes:
        """Read up to size bytes, fewer at the end alone."""
        data = self._stream.read(size)
        self._count(data)
        return data

    def write(self, data: bytes) -> None:
        """Write data."""
        self._stream.write(data)
        self._count(data)

    def facts(self) -> dict[str, object]:
        """Return length in bytes and SHA-256 in hex."""
        return {"bytes": self._length, "sha256": self._hash.hexdigest()}

    def _count(self, data: bytes) -> None:
        self._length += len(data)
        self._hash.update(data)


def _library(options: argparse.Namespace) -> Library:
    servers = [parse_server(text, options.tls) for text in options.server]
    anchors: Anchors = load_anchors(options.anchor, options.anchor_ca)
    drive = load_drive(options.library, options.drive, _now_us())
    if options.oracle is not None:
        drive.record = recorder(options.oracle)
    return Library(LIBRARY_SERIAL, [drive], servers, anchors, os.urandom, _now_us)


def _facts(options: argparse.Namespace, library: Library, outcome: Outcome) -> dict[str, object]:
    for server, trouble in library.tickets:
        print(f"qekm-simulator: ticket: {server}: {trouble}", file=sys.stderr)
    key = outcome.key
    facts: dict[str, object] = {"drive": options.drive, "confirmed": outcome.confirmed}
    if key is not None:
        facts |= {"alias": key.alias, "dki": key.dki.hex()}
    if outcome.server:
        facts["server"] = outcome.server
    return facts | {"in_clear": outcome.in_clear} | ({"note": outcome.note} if outcome.note else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("qekm-simulator", description="A simulated tape library.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="make a drive authority and two LTO-4 drives")
    init.add_argument("library", type=Path, help="folder to make")
    init.add_argument("--rsa", action="store_true", help="give the drives RSA-2048 keys instead of P-256")
    init.set_defaults(run=_init)

    add = commands.add_parser("add-drive", help="make one more drive")
    add.add_argument("--library", type=Path, required=True, help="folder that init made")
    add.add_argument("serial", help="its serial number")
    add.add_argument("--wwnn", type=bytes.fromhex, default=b"", help="world-wide node name, 16 hex digits")
    add.add_argument("--rsa", action="store_true", help="RSA-2048 instead of P-256")
    add.set_defaults(run=_add_drive)

    write = _drive_command(commands, "write", _write, "record a stream on a cartridge")
    write.add_argument("--cartridge", type=Path, required=True, help="cartridge file; made if not there")
    write.add_argument("--volser", default="", help="volume serial of a new cartridge")
    write.add_argument("--clear", action="store_true", help="write without encryption")
    write.add_argument("--ask", choices=sorted(_ASKS), default="create", help="what the drive asks for")
    write.add_argument("source", nargs="?", default="-", help="file to record; - for standard input")

    read = _drive_command(commands, "read", _read, "read a cartridge")
    read.add_argument("--cartridge", type=Path, required=True, help="cartridge file")
    read.add_argument("--ask", choices=sorted(_ASKS), default="translate", help="what the drive asks for")
    read.add_argument("-o", "--output", default="-", help="file to write; - for standard output")

    request = _drive_command(commands, "request", _request, "have a key exchanged, without a cartridge")
    request.add_argument("--ask", choices=sorted(_ASKS), default="create", help="what the drive asks for")
    request.add_argument("--volser", default="", help="volume serial to name")
    request.add_argument("--mount", type=bytes.fromhex, default=b"", help="mount id, 32 hex digits")
    request.add_argument("--dki", type=bytes.fromhex, default=b"", help="DKi to name, 24 hex digits")
    request.add_argument("--late", action="store_true", help="name the DKi only when asked")

    _drive_command(commands, "diagnose", _diagnose, "run Ping, Drive, Path and Config at every server")
    return parser


def _drive_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    """Add a command that has a drive talk to key managers."""
    command = commands.add_parser(name, help=text)
    command.add_argument("--library", type=Path, required=True, help="folder that init made")
    command.add_argument("--drive", required=True, help="serial of the drive")
    command.add_argument(
        "--server", action="append", default=[], help="key manager, HOST:PORT; preferred first"
    )
    command.add_argument("--tls", action="store_true", help="speak TLS with the key managers")
    command.add_argument("--anchor", action="append", default=[], help="SHA-256 of a server's key, hex")
    command.add_argument("--anchor-ca", action="append", default=[], help="CA certificates of servers, PEM")
    command.add_argument("--oracle", type=Path, help="file that gets each installed key's hash")
    command.set_defaults(run=run)
    return command


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")


def _now_us() -> int:
    return time.time_ns() // 1000


def _tell(facts: dict[str, object], descriptor: int = 1) -> None:
    os.write(descriptor, json.dumps(facts).encode() + b"\n")


def _complain(message: str, code: int) -> int:
    print(f"qekm-simulator: error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
