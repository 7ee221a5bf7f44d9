"""Who has the keystore open, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from qekm.errors import KeystoreLocked
from qekm.opened import OPEN_S, Opened

ANNA, BERT = "custodian/anna", "custodian/bert"


@dataclass
class Time:
    """A monotonic clock."""

    now_s: float = 1.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def is_open(opened: Opened, subject: str) -> bool:
    """Tell whether a subject may act."""
    try:
        opened.check(subject, "GenerateKeys")
    except KeystoreLocked as error:
        assert error.details == {"act": "GenerateKeys"}
        return False
    return True


def test_a_keystore_is_locked_for_everybody_at_first() -> None:
    for now_s in (-5.0, 0.0, 5.0):
        with pytest.raises(KeystoreLocked, match="ExportKeys needs a slot"):
            Opened(Time(now_s)).check(ANNA, "ExportKeys")


def test_it_is_open_for_who_opened_it_for_ten_minutes_and_for_nobody_else() -> None:
    time = Time()
    opened = Opened(time)
    opened.open(ANNA)
    assert (is_open(opened, ANNA), is_open(opened, BERT)) == (True, False)
    time.now_s += OPEN_S - 0.001
    assert is_open(opened, ANNA)
    time.now_s += 0.001
    assert not is_open(opened, ANNA)


def test_opening_it_again_begins_the_ten_minutes_anew() -> None:
    time = Time()
    opened = Opened(time)
    opened.open(ANNA)
    time.now_s += OPEN_S - 1
    opened.open(ANNA)
    time.now_s += OPEN_S - 1
    assert is_open(opened, ANNA)


def test_it_is_closed_by_its_subject_for_that_subject_or_for_everybody() -> None:
    opened = Opened(Time())
    for subject in (ANNA, BERT):
        opened.open(subject)
    opened.close(ANNA)
    opened.close(ANNA)
    assert (is_open(opened, ANNA), is_open(opened, BERT)) == (False, True)
    opened.close_all()
    assert not is_open(opened, BERT)
