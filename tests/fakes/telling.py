"""Two servers that tell each other everything at once, for tests of what either makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from qekm.model import Change
from qekm.store import Line, journal
from tests.fakes.replicas import Replica, shared_rows


@dataclass
class Two:
    """Two servers, and how far each has read the other's journal."""

    here: Replica
    there: Replica

    def lines(self, of: Replica, table: str = "") -> list[Line]:
        """Return what a server has to tell."""
        lines = journal.page(of.disk.connection, 0, 10_000)
        return [line for line in lines if table in ("", line.table)]

    def tell(self, from_: Replica, to: Replica) -> list[Change]:
        """Have a server take everything of the other one."""
        changes = [change for line in self.lines(from_) for change in to.merging.take(line)]
        to.disk.commit(changes)
        return changes

    def settle(self) -> None:
        """Have both tell each other everything until there is no news."""
        for _ in range(9):
            news = [self.tell(self.here, self.there), self.tell(self.there, self.here)]
            if not any(news):
                break
        assert shared_rows(self.here) == shared_rows(self.there)
