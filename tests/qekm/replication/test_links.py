"""What is committed at one server is at the others, whatever was cut in between, and nothing else ever is."""

from __future__ import annotations

from pathlib import Path

from tests.qekm.replication.sites import are_same, estate, make_key, until


async def test_what_is_committed_at_one_server_is_at_the_other(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(*(make_key(number, "a") for number in range(1, 301)))
        await b.commit(*(make_key(number, "b") for number in range(301, 601)))
        await until(lambda: are_same(a, b) and a.rows()["keys"].rows == 600)
        assert await a.links.told(a.store.journal_end)
        assert await b.links.told(b.store.journal_end)
