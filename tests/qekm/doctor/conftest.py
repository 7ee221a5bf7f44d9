"""One key manager that was never started, made once; each test breaks a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.home import Home
from tests.cli.doctor.rig import copy_of, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Give a home that is not to be changed."""
    return make_template(tmp_path_factory.mktemp("doctor") / "template")


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Give a copy that may be."""
    return copy_of(template, tmp_path / "home")
