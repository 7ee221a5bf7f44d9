"""A registry of ten thousand drives: entered from a file, listed in every way there is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from qekm.errors import BadPageToken
from qekm.v1 import drives_pb2
from tests.system.command import ask_qekm, run_qekm
from tests.system.processes import Estate, made

COUNT = 10_000
SERIALS = [f"{1_300_000_000 + 37 * number:012d}" for number in range(COUNT)]
STEP = 7919  # a prime that does not divide COUNT: the file is in no order that a list could keep by chance


def roster() -> str:
    """Return the file: ten digits of each serial, as they are printed on a drive."""
    lines = (SERIALS[number * STEP % COUNT].removeprefix("00") for number in range(COUNT))
    return "".join(f"{serial},50030800{int(serial) % 2**32:08x},IBM,ULT3580-TD4\n" for serial in lines)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Return a running service that was told of all drives by one command."""
    folder = tmp_path_factory.mktemp("drives")
    (folder / "drives.csv").write_text(roster())
    with made(folder / "home", keys=1) as running:
        running.start(gateway=False)
        begun = time.monotonic()
        done = run_qekm(running.home, "drives", "add", "--csv", str(folder / "drives.csv"), timeout_s=240)
        print(f"{COUNT} drives added in {time.monotonic() - begun:.1f} s")
        assert (done.returncode, done.stdout) == (0, f"{COUNT} drives added\n"), done.stderr
        yield running


def test_all_drives_are_listed_exactly_once_in_order(estate: Estate) -> None:
    drives = ask_qekm(estate.home, "drives", "list")["drives"]
    assert [drive["serial"] for drive in drives] == SERIALS
    assert {drive["state"] for drive in drives} == {"accepted"}
    assert len({drive["wwnn"] for drive in drives}) == COUNT


def test_they_are_listed_as_the_original_lists_them(estate: Estate) -> None:
    done = run_qekm(estate.home, "listdrives")
    lines = [f"Drive entries: {COUNT}", *(f"SerialNumber = {serial}" for serial in SERIALS)]
    assert done.stdout.splitlines() == lines


def listed(client: Any, **fields: Any) -> Any:
    """Ask for one page."""
    return client.drives.ListDrives(drives_pb2.ListDrivesRequest(**fields))


def test_one_page_has_what_was_asked_for_and_leads_to_the_next(estate: Estate) -> None:
    with estate.client() as client:
        for size, expected in ((0, 100), (1, 1), (250, 250), (5_000, 1_000)):
            page = listed(client, page_size=size)
            assert [drive.serial for drive in page.drives] == SERIALS[:expected]
            assert page.total == COUNT
            following = listed(client, page_size=size, page_token=page.next_page_token)
            assert [drive.serial for drive in following.drives] == SERIALS[expected : 2 * expected]


def test_the_last_page_leads_nowhere(estate: Estate) -> None:
    with estate.client() as client:
        page, pages = listed(client, page_size=1_000), 1
        while page.next_page_token:
            page, pages = listed(client, page_size=1_000, page_token=page.next_page_token), pages + 1
    assert (pages, page.drives[-1].serial) == (10, SERIALS[-1])


def test_a_page_token_of_another_list_or_of_garbage_is_refused(estate: Estate) -> None:
    with estate.client() as client:
        token = listed(client).next_page_token
        accepted = drives_pb2.DRIVE_STATE_ACCEPTED
        spoilt = [token[:-1], token + "A", token.swapcase(), "garbage", "ÿ", "A" * 4096, SERIALS[5]]
        for text in spoilt:
            with pytest.raises(BadPageToken):
                listed(client, page_token=text)
        with pytest.raises(BadPageToken):
            listed(client, page_token=token, state=accepted)
