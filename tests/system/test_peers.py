"""A second server joins: real processes, the commands as an operator types them, and who should not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.command import ask_qekm, run_qekm
from tests.system.joining import Inviting
from tests.system.processes import Estate


@pytest.fixture
def inviting(tmp_path: Path) -> Iterator[Inviting]:
    """Return a running server."""
    made = Inviting.make(tmp_path)
    yield made
    made.estate.close()


def test_an_invited_server_joins_and_starts(inviting: Inviting, tmp_path: Path) -> None:
    file, own = inviting.invite()
    assert file.stat().st_mode & 0o777 == 0o600
    with inviting.joining(file, own) as joining:
        shown = joining.wait_waiting()
        waiting = inviting.peers()["b"]
        assert (waiting["state"], waiting["waiting"], waiting["spki_sha256"]) == ("invited", True, shown)
        assert not joining.home.config.exists()
        done = inviting.accept("b", shown)
        assert done.returncode == 0, done.stderr
        assert joining.wait() == 0, joining.said()
    assert inviting.peers()["b"]["state"] == "joined"
    second = Estate(tmp_path / "b")
    try:
        second.start(gateway=False)
        rows = ask_qekm(second.home, "peers", "list")["peers"]
        assert [(row["name"], row["role"], row["self"]) for row in rows] == [
            ("server", "primary", False),
            ("b", "secondary", True),
        ]
        for each in (inviting.estate, second):
            assert run_qekm(each.home, "server", "version").returncode == 0
        assert second.stop() == {"server": 0}
    finally:
        second.close()
