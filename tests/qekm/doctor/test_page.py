"""docs/doctor.md is what the code says."""

from __future__ import annotations

from tests import doctor_page


def test_the_page_of_the_doctor_is_what_the_code_says() -> None:
    """To write it anew: python -m tests.doctor_page."""
    assert doctor_page.PAGE.read_text(encoding="utf-8") == doctor_page.page()
