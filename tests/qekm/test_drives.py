"""The drive registry: who may go on, who waits, and what an entry keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qekm.claim import DIAGNOSIS_SERIAL, Claim, normalise_serial
from qekm.dkp.codes import Fault
from qekm.drives import MAX_PENDING, PENDING_REFRESH_US, Registry
from qekm.errors import (
    AuthorityExists,
    BadArgument,
    BadCertificate,
    DriveExists,
    UnknownAuthority,
    UnknownDrive,
)
from qekm.model import Authority, BlockedKey, Drive, DriveState, LabelMode, Removal
from tests.fakes.drive_authority import DriveAuthority

SERIAL, WWNN, SPKI = "001300000392", b"wwnn 392", b"s" * 32
CLAIM = Claim(SERIAL, WWNN, "IBM", "ULT3580-TD4", "C7BE", "LIB1")


class Clock:
    now = 1_000_000_000

    def __call__(self) -> int:
        return self.now


def registry(*drives: Drive, blocked: tuple[BlockedKey, ...] = ()) -> Registry:
    found = Registry(drives, (), blocked, clock := Clock())
    found.clock = clock  # type: ignore[attr-defined]
    return found


def entry(serial: str = SERIAL, **fields: Any) -> Drive:
    return Drive(serial, DriveState.ACCEPTED, 1, **fields)


def code_of(found: Registry, claim: Claim = CLAIM, accept: str = "true") -> str:
    try:
        found.check_claim(claim.serial, claim.wwnn, claim.product, accept)
    except Fault as fault:
        return fault.code.name
    return ""


@pytest.mark.parametrize(
    ("serial", "stored"),
    [("1300000392", SERIAL), (SERIAL, SERIAL), ("ABCDEFGHIJ", "ABCDEFGHIJ"), ("130000039", "130000039")],
)
def test_a_serial_of_ten_digits_gets_two_leading_zeros(serial: str, stored: str) -> None:
    assert normalise_serial(serial) == stored


@pytest.mark.parametrize(("accept", "code"), [("true", ""), ("false", "EF01"), ("pending", "EF01")])
def test_an_unknown_drive_goes_on_only_where_unknown_ones_are_accepted(accept: str, code: str) -> None:
    assert code_of(registry(), accept=accept) == code


@pytest.mark.parametrize("accept", ["true", "false", "pending"])
def test_a_drive_with_an_entry_goes_on(accept: str) -> None:
    known = registry(entry(wwnn=WWNN, product="ULT3580-TD4"))
    assert code_of(known, accept=accept) == ""
    assert code_of(registry(entry()), accept=accept) == ""


def test_another_wwnn_or_product_than_the_entrys_is_ee25() -> None:
    known = registry(entry(wwnn=WWNN, product="ULT3580-TD4"))
    assert code_of(known, replace(CLAIM, wwnn=b"another!")) == "EE25"
    assert code_of(known, replace(CLAIM, product="ULT3580-TD5")) == "EE25"
    assert code_of(known, replace(CLAIM, vendor="HP", firmware="D000")) == ""


def test_a_wwnn_of_another_entry_is_ee25() -> None:
    known = registry(entry("2", wwnn=WWNN), entry())
    assert code_of(known) == "EE25"
    assert code_of(known, replace(CLAIM, serial="3")) == "EE25"
    assert code_of(known, replace(CLAIM, serial="3"), "false") == "EF01"


def test_an_enrolled_drive_keeps_what_it_proved() -> None:
    found = registry()
    drive = found.enrol(CLAIM, SPKI)
    assert drive == Drive(
        SERIAL,
        DriveState.ACCEPTED,
        Clock.now,
        WWNN,
        "IBM",
        "ULT3580-TD4",
        "C7BE",
        SPKI,
        Clock.now,
        library_serial="LIB1",
    )
    assert found.find(SERIAL) is drive
    for again in (CLAIM, replace(CLAIM, serial="2")):
        with pytest.raises(DriveExists):
            found.enrol(again, SPKI)


def test_what_an_entry_left_open_is_filled_in_and_the_rest_stays() -> None:
    own = entry(
        vendor="HP", group="g", allowed_groups=("g",), alias="abcd", confirm=False, label_mode=LabelMode.T10
    )
    found = registry(own)
    seen = found.see(own, CLAIM, SPKI)
    assert seen == replace(
        own,
        wwnn=WWNN,
        product="ULT3580-TD4",
        firmware="C7BE",
        spki_sha256=SPKI,
        last_seen_time_us=Clock.now,
        library_serial="LIB1",
    )
    later = found.see(seen, replace(CLAIM, firmware="D000", library_serial=""), b"t" * 32)
    assert (later.firmware, later.library_serial, later.spki_sha256) == ("D000", "LIB1", SPKI)


def test_touching_a_drive_changes_the_time_only() -> None:
    found = registry(entry())
    assert found.touch(entry()) == replace(entry(), last_seen_time_us=Clock.now)


def test_pending_drives_are_listed_and_written_once_a_minute() -> None:
    found = registry()
    (first,) = found.wait(CLAIM)
    assert isinstance(first, Drive)
    assert (first.state, first.wwnn, first.spki_sha256) == (DriveState.PENDING, WWNN, b"")
    assert found.wait(CLAIM) == []
    found.clock.now += PENDING_REFRESH_US  # type: ignore[attr-defined]
    (again,) = found.wait(replace(CLAIM, firmware="D000"))
    assert isinstance(again, Drive)
    assert (again.create_time_us, again.firmware) == (first.create_time_us, "D000")
    assert found.find(SERIAL) is None
    assert found.get(SERIAL) is again


def test_the_pending_list_is_bounded() -> None:
    found = registry()
    for number in range(MAX_PENDING):
        assert found.wait(replace(CLAIM, serial=str(number)))
    assert found.wait(replace(CLAIM, serial="one more")) == []
    assert found.total(DriveState.PENDING) == found.total() == MAX_PENDING


def test_a_pending_drive_claims_no_wwnn() -> None:
    found = registry()
    found.wait(replace(CLAIM, serial="2"))
    assert code_of(found) == ""


def test_a_pending_drive_is_accepted_or_rejected() -> None:
    found = registry()
    found.wait(CLAIM)
    (accepted,) = found.accept("1300000392")
    assert isinstance(accepted, Drive)
    assert (accepted.state, accepted.wwnn, accepted.last_seen_time_us) == (DriveState.ACCEPTED, WWNN, 0)
    assert found.find(SERIAL) is accepted
    with pytest.raises(UnknownDrive):
        found.accept(SERIAL)
    found.wait(replace(CLAIM, serial="2"))
    with pytest.raises(DriveExists):  # its WWNN has an owner now
        found.accept("2")
    assert found.reject("2") == [Removal(Drive, "2")]
    with pytest.raises(UnknownDrive):
        found.reject("2")


def test_a_drive_is_added_before_it_first_asks() -> None:
    found = registry()
    changes = found.create(
        Drive("1300000392", DriveState.PENDING, 7, WWNN, spki_sha256=SPKI, last_seen_time_us=9)
    )
    assert changes == [Drive(SERIAL, DriveState.ACCEPTED, Clock.now, WWNN)]
    with pytest.raises(DriveExists):
        found.create(entry())
    with pytest.raises(DriveExists):
        found.create(entry("2", wwnn=WWNN))


def test_a_pending_drive_may_be_added_by_hand() -> None:
    found = registry()
    found.wait(CLAIM)
    found.create(entry())
    assert (found.total(DriveState.PENDING), found.total(DriveState.ACCEPTED)) == (0, 1)


@pytest.mark.parametrize(
    "odd",
    [
        entry(""),
        entry("12345678901234567"),
        entry("ä"),
        entry(DIAGNOSIS_SERIAL),
        entry(wwnn=b"short"),
        entry(vendor="123456789"),
        entry(product="\n"),
        entry(firmware="ä"),
    ],
)
def test_an_entry_that_no_drive_can_have_is_refused(odd: Drive) -> None:
    with pytest.raises(BadArgument):
        registry().create(odd)


def test_fields_of_an_entry_are_changed_one_by_one() -> None:
    found = registry(entry(wwnn=WWNN, spki_sha256=SPKI))
    (changed,) = found.update("1300000392", wwnn=b"another!", confirm=False, spki_sha256=b"")
    assert changed == entry(wwnn=b"another!", confirm=False)
    assert code_of(found, replace(CLAIM, serial="2")) == ""  # the old WWNN is free again
    for values in ({"spki_sha256": b"x" * 32}, {"serial": "2"}, {"state": DriveState.PENDING}):
        with pytest.raises(BadArgument):
            found.update(SERIAL, **values)
    with pytest.raises(UnknownDrive):
        found.update("2", confirm=True)


def test_a_pending_drive_is_accepted_before_it_is_changed() -> None:
    found = registry()
    found.wait(CLAIM)
    with pytest.raises(UnknownDrive):
        found.update(SERIAL, confirm=False)


def test_a_removed_drive_leaves_its_wwnn_and_on_request_its_key_is_blocked() -> None:
    found = registry(entry(wwnn=WWNN, spki_sha256=SPKI))
    assert found.delete(SERIAL, block=True) == [Removal(Drive, SERIAL), BlockedKey(SPKI, Clock.now)]
    assert found.is_blocked(SPKI)
    assert found.find(SERIAL) is None
    assert code_of(found, replace(CLAIM, serial="2")) == ""
    with pytest.raises(UnknownDrive):
        found.delete(SERIAL)


def test_a_drive_whose_key_is_not_known_cannot_be_blocked() -> None:
    found = registry(entry())
    with pytest.raises(BadArgument):
        found.delete(SERIAL, block=True)
    assert found.find(SERIAL)


def test_blocked_keys_are_loaded() -> None:
    assert registry(blocked=(BlockedKey(SPKI, 1),)).is_blocked(SPKI)


def test_pages_are_in_order_of_serials() -> None:
    found = registry(*(entry(str(number)) for number in (3, 1, 2)))
    found.wait(replace(CLAIM, serial="0"))
    assert [drive.serial for drive in found.page(limit=3)] == ["0", "1", "2"]
    assert [drive.serial for drive in found.page("1", 9)] == ["2", "3"]
    assert [drive.serial for drive in found.page(state=DriveState.PENDING)] == ["0"]
    found.delete("2")
    assert [drive.serial for drive in found.page(state=DriveState.ACCEPTED)] == ["1", "3"]


def test_a_group_that_an_entry_names_is_known() -> None:
    found = registry(entry("1", group="a"), entry("2", allowed_groups=("b", "c")))
    assert [name for name in "abcd" if found.names_group(name)] == ["a", "b", "c"]


def test_authorities_are_trusted_until_they_are_removed() -> None:
    found = registry()
    root = DriveAuthority()
    before = found.trust
    (authority,) = found.add_authority(root.certificate)
    assert isinstance(authority, Authority)
    assert found.trust is not before
    assert found.authorities() == [authority]
    with pytest.raises(AuthorityExists):
        found.add_authority(root.certificate)
    with pytest.raises(BadCertificate):
        found.add_authority(b"junk")
    trusting = found.trust
    assert found.remove_authority(authority.fingerprint) == [Removal(Authority, authority.fingerprint)]
    assert found.trust is not trusting
    with pytest.raises(UnknownAuthority):
        found.remove_authority(authority.fingerprint)
