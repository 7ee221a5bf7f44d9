"""Rows of another server that memory has taken and the disk refuses: the service has to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from qekm.errors import StoreFailed
from qekm.model import Change, Drive, DriveState, Setting
from qekm.store import Line
from tests.qekm.replication.sites import Latest, estate

PATIENCE_S = 30.0


class Unwritable(Latest):
    """Takes a row with what no column holds."""

    def take(self, line: Line) -> Sequence[Change]:
        """Return the row and a setting without a text."""
        return [*super().take(line), Setting("x", cast("str", object()))]


@pytest.mark.parametrize("bad", [True, False])
async def test_what_the_disk_refuses_is_not_acknowledged_and_ends_the_service(
    tmp_path: Path, bad: bool
) -> None:
    failures: list[BaseException] = []
    async with estate(tmp_path, "a", "b") as made:
        await made.end("b")
        b = await made.begin("b", merging=Unwritable if bad else Latest)
        b.links.fail = failures.append
        await made.sites["a"].commit(Drive("D", DriveState.ACCEPTED, 1))
        end = made.sites["a"].store.journal_end
        async with asyncio.timeout(PATIENCE_S):
            while not failures and made.sites["a"].links.acknowledged < end:
                await asyncio.sleep(0.05)
        assert [type(each) for each in failures] == ([StoreFailed] if bad else [])
        assert (made.sites["a"].links.acknowledged < end) is bad
