"""DrivesService.ImportDrives over the wire."""

from __future__ import annotations

import pytest

from qekm.api.drives import MOST_IMPORTED
from qekm.errors import BadArgument, UnknownGroup
from qekm.interchange.roster import Entry, parse, serialize
from qekm.model import Drive, DriveState, LabelMode
from qekm.v1 import drives_pb2 as pb
from tests.qekm.api.running import Running


async def take_in(run: Running, *drives: pb.Drive, rewrite: bool = False) -> pb.ImportDrivesResponse:
    """Import drives."""
    return await run.client.drives.ImportDrives(pb.ImportDrivesRequest(drives=drives, rewrite=rewrite))


def stored(run: Running) -> dict[str, Drive]:
    """Return the drives on the disk."""
    return {drive.serial: drive for drive in run.store.load().drives}


async def test_a_table_is_taken_in_with_one_record_and_is_on_the_disk(run: Running) -> None:
    first = pb.Drive(
        serial="A", wwnn=bytes([1] * 8), vendor="QUANTUM", allowed_groups=["default"], confirm=False
    )
    response = await take_in(run, first, pb.Drive(serial="B", wwnn=bytes([2] * 8)))
    assert (response.created, response.updated, response.deleted) == (2, 0, 0)
    record = (await run.records())[-1]
    assert (record.event, record.message) == ("rpc.ImportDrives", "2 created, 0 updated, 0 deleted")
    swapped = (pb.Drive(serial="A", wwnn=bytes([2] * 8)), pb.Drive(serial="B", wwnn=bytes([1] * 8)))
    response = await take_in(run, *swapped, pb.Drive(serial="C", label_mode=pb.LABEL_MODE_T10))
    assert (response.created, response.updated, response.deleted) == (1, 2, 0)
    drives = stored(run)
    assert (drives["A"].wwnn, drives["B"].wwnn) == (bytes([2] * 8), bytes([1] * 8))
    assert (drives["A"].vendor, drives["A"].confirm, drives["A"].allowed_groups) == (
        "QUANTUM",
        False,
        ("default",),
    )
    assert (drives["C"].label_mode, drives["C"].confirm) == (LabelMode.T10, True)
    response = await take_in(run, pb.Drive(serial="C", confirm=False), rewrite=True)
    assert (response.created, response.updated, response.deleted) == (0, 1, 2)
    assert set(stored(run)) == {"C"}
    assert (await run.records())[-1].message == "0 created, 1 updated, 2 deleted; rewritten"
    assert stored(run)["C"] == run.service.owners.registry.get("C")


async def test_nothing_of_a_bad_table_is_taken_in(run: Running) -> None:
    await take_in(run, pb.Drive(serial="A"))
    before, records = stored(run), await run.records()
    good = pb.Drive(serial="B", alias=next(iter(run.service.owners.keystore)).alias)
    for rewrite in (False, True):
        with pytest.raises(UnknownGroup, match="drive C"):
            await take_in(run, good, pb.Drive(serial="C", group="none"), rewrite=rewrite)
        with pytest.raises(BadArgument, match="twice"):
            await take_in(run, good, good, rewrite=rewrite)
        with pytest.raises(BadArgument, match="10,001 entries"):
            await take_in(run, *[good] * (MOST_IMPORTED + 1), rewrite=rewrite)
        with pytest.raises(BadArgument, match="wwnn"):
            await take_in(run, good, pb.Drive(serial="C", wwnn=b"x"), rewrite=rewrite)
    assert stored(run) == before
    assert await run.records() == records


async def test_the_largest_table_is_taken_in_while_it_waits_for_nothing(run: Running) -> None:
    drives = [pb.Drive(serial=f"{number:012}", wwnn=number.to_bytes(8, "big")) for number in range(1, 10_001)]
    assert (await take_in(run, *drives)).created == MOST_IMPORTED
    assert run.service.owners.registry.total(DriveState.ACCEPTED) == MOST_IMPORTED
    listing = serialize(Entry(0, drive.serial, drive.wwnn) for drive in stored(run).values())
    assert len(parse(listing)) == MOST_IMPORTED
    assert (await take_in(run, pb.Drive(serial="A"), rewrite=True)).deleted == MOST_IMPORTED
    assert set(stored(run)) == {"A"}


async def test_an_empty_table_removes_nothing(run: Running) -> None:
    await take_in(run, pb.Drive(serial="A"))
    with pytest.raises(BadArgument, match="without a drive"):
        await take_in(run, rewrite=True)
    assert (await take_in(run)).created == 0
    assert set(stored(run)) == {"A"}


async def test_drives_of_any_serial_are_in_the_list_that_is_written_and_taken_in(run: Running) -> None:
    for serial in ("#FOO", " A7 ", 'A"', "B,C", "=1+1", "serial"):
        await run.client.drives.CreateDrive(pb.CreateDriveRequest(drive=pb.Drive(serial=serial)))
    before = stored(run)
    listing = parse(serialize(Entry(0, serial) for serial in before))
    response = await take_in(run, *(pb.Drive(**entry.fields()) for entry in listing), rewrite=True)
    assert (response.created, response.updated, response.deleted) == (0, 0, 0)
    assert stored(run) == before
