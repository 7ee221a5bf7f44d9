"""The four path diagnostics, each with what makes it fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from qekm.dkp.codes import Code
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.diagnosis import Bench, Result, Status, Test, run_tests
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.link import Server
from tests.fakes.key_manager import KeyManager, Lies
from tests.gateway.simulator.rig import fresh_drive, made_drive, now_us

PASSED, FAILED, SKIPPED = Status.PASSED, Status.FAILED, Status.SKIPPED


def run(manager: KeyManager, change: Callable[[Bench], Bench] = lambda bench: bench) -> list[Result]:
    """Run the tests against a played key manager."""
    with manager.listening() as port:
        bench = Bench(Server("127.0.0.1", port), fresh_drive(), Anchors([manager.pin]), os.urandom, now_us)
        return run_tests(change(bench))


def statuses(results: list[Result]) -> list[Status]:
    """Return how they ended, in order."""
    assert [result.test for result in results] == [Test.PING, Test.DRIVE, Test.PATH, Test.CONFIG]
    return [result.status for result in results]


def test_all_four_pass_at_a_good_key_manager() -> None:
    manager = KeyManager()
    results = run(manager)
    assert statuses(results) == [PASSED] * 4
    assert next(iter(manager.keys)) in results[3].message
    assert all(result.elapsed_us > 0 for result in results)


def test_ping_fails_where_nobody_listens_and_the_rest_is_skipped() -> None:
    results = run(KeyManager(), lambda bench: replace(bench, server=Server("127.0.0.1", 1)))
    assert statuses(results) == [FAILED, SKIPPED, SKIPPED, SKIPPED]
    assert "qekm server status" in results[0].message


def test_drive_fails_when_key_and_certificate_do_not_fit() -> None:
    drive, other = fresh_drive(), made_drive("001310000363")
    stolen = Drive(drive.serial, drive.wwnn, drive.signer, other.certificates)
    assert statuses(run(KeyManager(), lambda b: replace(b, drive=stolen))) == [
        PASSED,
        FAILED,
        SKIPPED,
        SKIPPED,
    ]


def test_drive_fails_when_the_certificate_is_for_another_serial_or_time() -> None:
    drive = fresh_drive()
    renamed = Drive("X", drive.wwnn, drive.signer, drive.certificates)
    assert statuses(run(KeyManager(), lambda b: replace(b, drive=renamed)))[1] is FAILED
    later = replace_clock(now_us() + 11 * 365 * 86_400_000_000)
    assert statuses(run(KeyManager(), later))[1] is FAILED


def test_drive_fails_for_a_certificate_that_cannot_be_read() -> None:
    drive = fresh_drive()
    broken = Drive(drive.serial, drive.wwnn, drive.signer, (b"junk",))
    results = run(KeyManager(), lambda bench: replace(bench, drive=broken))
    assert statuses(results) == [PASSED, FAILED, SKIPPED, SKIPPED]
    assert "cannot be read" in results[1].message


def replace_clock(time_us: int) -> Callable[[Bench], Bench]:
    """Set the bench's clock."""
    return lambda bench: replace(bench, now_us=lambda: time_us)


def test_path_fails_when_the_drive_is_refused() -> None:
    results = run(KeyManager(refuse=Code.EF01))
    assert statuses(results) == [PASSED, PASSED, FAILED, SKIPPED]
    assert "EF01" in results[2].message


@pytest.mark.parametrize(
    "lies",
    [
        Lies(wrapped=lambda wrapped: bytes(len(wrapped))),
        Lies(modes=(0, 0)),
        Lies(sent=lambda raw: None if raw[5] == 0x86 and len(raw) > 24 else raw),
    ],
    ids=["unwrappable", "wrong modes", "no COMPLETE"],
)
def test_config_fails_when_no_key_can_be_served(lies: Lies) -> None:
    assert statuses(run(KeyManager(lies=lies))) == [PASSED, PASSED, PASSED, FAILED]


def test_config_fails_when_the_server_is_not_anchored() -> None:
    results = run(KeyManager(), lambda bench: replace(bench, anchors=Anchors()))
    assert statuses(results) == [PASSED, PASSED, PASSED, FAILED]
    assert "anchor" in results[3].message


def test_no_test_leaves_a_key_in_the_drive() -> None:
    drive = fresh_drive()
    run(KeyManager(), lambda bench: replace(bench, drive=drive))
    assert drive.key is None
