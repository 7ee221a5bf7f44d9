"""The diagnosis: a test drive of an authority of its own, and a key that is no cartridge's."""

from __future__ import annotations

import pytest

from qekm.claim import DIAGNOSIS_SERIAL
from qekm.dkp.names import is_alias
from qekm.errors import TooMany
from qekm.serving import desk
from qekm.serving.desk import Creations
from tests.fakes.drive import ACQUIRE, CREATE, NO_OPERATION, OPTIONAL, TRANSLATE, FakeDrive
from tests.fakes.estate import Estate, Refused

HOUR_US = 3_600_000_000


def test_drive(estate: Estate) -> FakeDrive:
    return FakeDrive(estate.tests, DIAGNOSIS_SERIAL)


test_drive.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("ask", [CREATE, ACQUIRE, OPTIONAL])
def test_a_test_drive_gets_the_key_of_the_diagnosis_and_uses_up_none(ask: int) -> None:
    estate = Estate(keys=1)
    first, second = (estate.run(test_drive(estate).session(ask=ask)) for _ in range(2))
    assert first.alias == second.alias == "QKMDIAG0001"
    assert is_alias(first.alias)
    assert first.data_key == second.data_key
    assert [key.state.name for key in estate.keystore.page()] == ["READY"]
    assert not estate.disk.drives
    assert not estate.disk.cartridges
    assert estate.disk.events() == ["diagnosis.serve INTENT", "diagnosis.serve SUCCESS"] * 2


def test_the_key_of_the_diagnosis_is_another_in_every_process() -> None:
    estate = Estate()
    keys = set()
    for _ in range(2):
        keys.add(estate.run(test_drive(estate).session()).data_key)
        estate.restart()
    assert len(keys) == 2


def test_a_test_drive_reads_its_own_key_and_no_cartridges() -> None:
    estate = Estate()
    drive = test_drive(estate)
    own = estate.run(drive.session())
    assert own.page is not None
    assert estate.run(drive.session(ask=TRANSLATE, dki=own.page.dki)).data_key == own.data_key
    assert estate.run(drive.session(ask=TRANSLATE), named=own.page.dki).data_key == own.data_key
    real = estate.run(estate.drive().session())
    assert real.page is not None
    for session, named in (
        (drive.session(ask=TRANSLATE, dki=real.page.dki), b""),
        (drive.session(ask=ACQUIRE, dki=real.page.dki), b""),
        (drive.session(ask=TRANSLATE), real.page.dki),
    ):
        with pytest.raises(Refused) as refused:
            estate.give(session, named)
        assert refused.value.fault.code.name == "EE31"


def test_a_real_drive_does_not_get_the_key_of_the_diagnosis() -> None:
    estate = Estate()
    own = estate.run(test_drive(estate).session())
    assert own.page is not None
    with pytest.raises(Refused) as refused:
        estate.give(estate.drive().session(ask=TRANSLATE, dki=own.page.dki))
    assert refused.value.fault.code.name == "EE31"


def test_neither_authority_can_name_the_others_drives() -> None:
    estate = Estate()
    for drive in (FakeDrive(estate.authority, DIAGNOSIS_SERIAL), FakeDrive(estate.tests, "001300000392")):
        session = estate.begin(drive.session())
        assert estate.refused(session.reply_dsk()) == "EE2B"


def test_a_test_drive_needs_no_entry_even_where_unknown_ones_are_not_accepted() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "pending"})
    drive = test_drive(estate)
    assert estate.refused(drive.session(ask=NO_OPERATION).notify()) == ""
    assert estate.run(drive.session()).alias == "QKMDIAG0001"
    assert not estate.disk.drives


def test_a_test_drive_must_confirm_too() -> None:
    estate = Estate()
    session = estate.give(test_drive(estate).session())
    assert estate.refused(session.status(confirm=False)) == "EE29"


def test_creations_are_counted_in_the_last_hour() -> None:
    creations = Creations()
    for time_us in (0, 1, 2):
        creations.take("a", time_us, 3)
    with pytest.raises(TooMany):
        creations.take("a", HOUR_US - 1, 3)
    creations.take("b", HOUR_US - 1, 3)
    creations.take("a", HOUR_US, 3)
    with pytest.raises(TooMany):
        creations.take("a", HOUR_US, 3)


def test_proved_session_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MAX_PROVED", 2)
    estate = Estate()
    for number in range(3):
        estate.run(estate.drive(str(number)).session())
    assert [serial for serial, _ in estate.serving._desk.proved] == ["1", "2"]
