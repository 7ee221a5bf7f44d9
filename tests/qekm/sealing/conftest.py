"""A token with a key, where there is SoftHSM."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.token import Token, token_in


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """Return a token that holds the key that our own program made."""
    made = token_in(tmp_path / "tokens", monkeypatch)
    made.sealer().create()
    return made
