"""The four path diagnostics of tape libraries: Ping, Drive, Path, Config, in this order.

The numbers of Test and Status are those of qekm.v1.Test and qekm.v1.TestStatus.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm.dkp.codes import Ask
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome
from qekm_gateway.simulator.library import MOUNT_ID_LENGTH
from qekm_gateway.simulator.link import Connection, Server, converse, ping
from qekm_gateway.simulator.sense import CheckCondition


class Test(IntEnum):
    """One of the four tests."""

    __test__ = False  # no test of pytest's

    PING = 1
    DRIVE = 2
    PATH = 3
    CONFIG = 4


class Status(IntEnum):
    """How a test ended; skipped means that one before it failed."""

    PASSED = 1
    FAILED = 2
    SKIPPED = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One test at one server; message says what was seen and, after a failure, what to do."""

    address: str
    test: Test
    status: Status
    message: str
    elapsed_us: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tests need: a drive, a server, whom to believe, randomness and a clock."""

    server: Server
    drive: Drive
    anchors: Anchors
    random_bytes: Callable[[int], bytes]
    now_us: Callable[[], int]

    def connect(self) -> Connection:
        """Open a connection to the server."""
        return Connection(self.server, self.anchors.authorities)

    def ask(self, errand: Errand) -> Outcome:
        """Play one session; no retry and no failover, since this server is what is tested."""
        session = Session(self.drive, errand, self.anchors, self.random_bytes, self.now_us)
        with self.connect() as connection:
            return converse(connection, session)


class Failure(Exception):
    """Why a test failed."""


_ADVICE = {
    Test.PING: "check address, port and firewall, and that the gateway runs: qekm server status",
    Test.DRIVE: "make the drive's certificate anew",
    Test.PATH: "check that the service runs, the drive's entry, and drive.acceptUnknownDrives",
    Test.CONFIG: "check the drive's authority, the drive's groups, the server anchor and the keys left",
}


def run_tests(bench: Bench) -> list[Result]:
    """Run the tests until one fails; the rest is skipped. Blocks for at most about 20 s."""
    results: list[Result] = []
    failed: Test | None = None
    for test, run in _TESTS.items():
        if failed is not None:
            message = f"not run: {failed.name} failed"
            results.append(Result(str(bench.server), test, Status.SKIPPED, message, 0))
            continue
        begun = time.monotonic_ns()
        try:
            message, status = run(bench), Status.PASSED
        except (CheckCondition, Failure) as problem:
            message, status, failed = f"{problem}; {_ADVICE[test]}", Status.FAILED, test
        elapsed_us = (time.monotonic_ns() - begun) // 1000
        results.append(Result(str(bench.server), test, status, message, elapsed_us))
    return results


def _run_ping(bench: Bench) -> str:
    with bench.connect() as connection:
        ping(connection)
    return "the port answers"


def _run_drive(bench: Bench) -> str:
    """Check, without the network, that the drive's certificate is for its serial and its key, and valid."""
    try:
        return _check_certificate(bench)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Failure(f"the certificate cannot be read: {error}") from None


def _check_certificate(bench: Bench) -> str:
    drive = bench.drive
    certificate = x509.load_der_x509_certificate(drive.certificates[0])
    now = dt.datetime.fromtimestamp(bench.now_us() / 1e6, dt.UTC)
    if certificate.public_key() != drive.signer.private.public_key():
        raise Failure("certificate and key do not belong together")
    serials = [item.value for item in certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    if serials != [drive.serial]:
        raise Failure(f"the certificate is not for {drive.serial}")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Failure("the certificate is not valid now")
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages or ExtendedKeyUsageOID.SERVER_AUTH in usages:
        raise Failure("the certificate is not for a drive: extended key usage")
    return f"drive {drive.serial}: certificate and key fit together"


def _run_path(bench: Bench) -> str:
    bench.ask(Errand(Ask.NO_OPERATION))
    return "the key manager answers a drive's message"


def _run_config(bench: Bench) -> str:
    outcome = bench.ask(Errand(Ask.CREATE, mount_id=bench.random_bytes(MOUNT_ID_LENGTH)))
    bench.drive.clear()
    if outcome.key is None:
        raise Failure("the key that came could not be unwrapped")
    if not outcome.confirmed:
        raise Failure(f"a key came, but {outcome.note}")
    return f"key {outcome.key.alias} was served, unwrapped and confirmed"


_TESTS: dict[Test, Callable[[Bench], str]] = {
    Test.PING: _run_ping,
    Test.DRIVE: _run_drive,
    Test.PATH: _run_path,
    Test.CONFIG: _run_config,
}
