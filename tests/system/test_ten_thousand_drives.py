"""A registry of ten thousand drives: entered from a file and by a call, listed in every way there is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import BadPageToken
from qekm.home import Home
from qekm.v1 import drives_pb2
from tests.system.command import ask_qekm, run_qekm
from tests.system.processes import Estate, made

COUNT, ADDED = 10_000, 500  # of all, as many by a command, one after another
SERIALS = [f"{1_300_000_000 + 37 * number:012d}" for number in range(COUNT)]
STEP = 7919  # a prime that does not divide COUNT: the file is in no order that a list could keep by chance
MIXED = [SERIALS[number * STEP % COUNT] for number in range(COUNT)]


def roster() -> str:
    """Return the file: ten digits of each serial, as they are printed on a drive."""
    serials = (serial.removeprefix("00") for serial in MIXED[:ADDED])
    return "".join(f"{serial},{wwnn(serial)},IBM,ULT3580-TD4\n" for serial in serials)


def others() -> drives_pb2.ImportDrivesRequest:
    """Return the call with the rest of them."""
    drives = [
        drives_pb2.Drive(serial=serial, wwnn=bytes.fromhex(wwnn(serial)), vendor="IBM")
        for serial in MIXED[ADDED:]
    ]
    return drives_pb2.ImportDrivesRequest(drives=drives)


def wwnn(serial: str) -> str:
    """Return a drive's world wide name."""
    return f"50030800{int(serial) % 2**32:08x}"


def test_ten_thousand_drives_are_entered_and_listed_in_every_way(tmp_path: Path) -> None:
    """One test, so that they are entered once."""
    (tmp_path / "drives.csv").write_text(roster())
    with made(tmp_path / "home", keys=1) as estate:
        estate.start(gateway=False)
        begun = time.monotonic()
        words = ("drives", "add", "--csv", str(tmp_path / "drives.csv"))
        done = run_qekm(estate.home, *words, timeout_s=240)
        print(f"{ADDED} drives added in {time.monotonic() - begun:.1f} s")
        assert (done.returncode, done.stdout) == (0, f"{ADDED} drives added\n"), done.stderr
        with estate.client() as client:
            assert client.drives.ImportDrives(others()).created == COUNT - ADDED
        check_the_list(estate.home)
        check_the_originals_list(estate.home)
        check_pages(estate)
        check_tokens(estate)


def check_the_list(home: Home) -> None:
    """All are there exactly once, in order, by the command that people and programs use."""
    drives = ask_qekm(home, "drives", "list")["drives"]
    assert [drive["serial"] for drive in drives] == SERIALS
    assert {drive["state"] for drive in drives} == {"accepted"}
    assert len({drive["wwnn"] for drive in drives}) == COUNT


def check_the_originals_list(home: Home) -> None:
    """They are listed to the letter as the original lists them."""
    done = run_qekm(home, "listdrives")
    lines = [f"Drive entries: {COUNT}", *(f"SerialNumber = {serial}" for serial in SERIALS)]
    assert done.stdout == "\n".join(lines) + "\n"


def check_pages(estate: Estate) -> None:
    """A page has what was asked for, 1,000 at most, and leads to the next; the last one leads nowhere."""
    with estate.client() as client:
        for size, expected in ((0, 100), (1, 1), (250, 250), (5_000, 1_000)):
            page = listed(client, page_size=size)
            assert [drive.serial for drive in page.drives] == SERIALS[:expected]
            assert page.total == COUNT
            following = listed(client, page_size=size, page_token=page.next_page_token)
            assert [drive.serial for drive in following.drives] == SERIALS[expected : 2 * expected]
        page, pages = listed(client, page_size=1_000), 1
        while page.next_page_token:
            page, pages = listed(client, page_size=1_000, page_token=page.next_page_token), pages + 1
    assert (pages, page.drives[-1].serial) == (10, SERIALS[-1])


def check_tokens(estate: Estate) -> None:
    """A page token that is garbage, or of a list with other filters, is refused."""
    with estate.client() as client:
        token = listed(client).next_page_token
        for spoilt in (token[:-1], token + "A", token.swapcase(), "garbage", "ÿ", "A" * 4096, SERIALS[5]):
            with pytest.raises(BadPageToken):
                listed(client, page_token=spoilt)
        with pytest.raises(BadPageToken):
            listed(client, page_token=token, state=drives_pb2.DRIVE_STATE_ACCEPTED)


def listed(client: Any, **fields: Any) -> Any:
    """Ask for one page."""
    return client.drives.ListDrives(drives_pb2.ListDrivesRequest(**fields))
