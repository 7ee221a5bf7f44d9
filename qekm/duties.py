"""What a service does by itself beside its calls, put together: backups, rotation, scrubbing, destruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qekm.backup.keeping import Keeper
from qekm.backup.making import Workshop
from qekm.backup.routine import Routine
from qekm.backup.target import Target
from qekm.backup.writing import Sealing
from qekm.configuration.settings import Settings
from qekm.destroying import Destroyer
from qekm.home import Home
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.rotating import Rotating
from qekm.scrubbing import Scrubber
from qekm.store import Store
from qekm.tombstones import NAME as TOMBSTONES
from qekm.upkeep import Duty

MOST_BACKUPS = 10_000  # looked at; some are removed as others are made


@dataclass(frozen=True, slots=True)
class Duties:
    """The conversations with time: `start` before anything listens; `leave`, `rest`, `close` at the end."""

    keeper: Keeper
    routine: Routine
    rotating: Rotating
    scrubber: Scrubber
    destroyer: Destroyer

    @classmethod
    def of(
        cls,
        home: Home,
        settings: Settings,
        store: Store,
        owners: Owners,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> Duties:
        """Put them together over an open store."""
        target = Target.of(settings, home.path)
        sealing = Sealing(store.ring, owners.estate.audit_key, now_us, random_bytes)
        keeper = Keeper(
            Workshop(home, store, sealing, target),
            owners.backups,
            owners.keystore,
            owners.protection,
            store,
            now_us,
        )
        rotating = Rotating(
            store,
            owners.keystore,
            owners.settings,
            lambda: owners.backups.page(limit=MOST_BACKUPS),
            lambda: keeper.busy,
            now_us,
        )
        anchor = home.path / settings["keystore.anchor"]
        places = [anchor.parent, *([target.directory] if target else [])]
        graves = [place / TOMBSTONES for place in places]
        return cls(
            keeper,
            Routine(keeper, owners.keystore, owners.protection, now_us),
            rotating,
            Scrubber(store, owners, settings, now_us),
            Destroyer(store, owners.keystore, owners.settings, graves, now_us),
        )

    @property
    def ticks(self) -> list[Duty]:
        """Return what each does when it looks, every second."""
        return [self.routine.tick, self.rotating.tick, self.scrubber.tick, self.destroyer.tick]

    def lines(self) -> list[str]:
        """Return what a status says of the backups."""
        return self.routine.lines()

    async def start(self) -> None:
        """Finish what a former stop cut off. StoreFailed."""
        await self.destroyer.start()
        await self.keeper.start()

    async def leave(self) -> None:
        """Begin no new backup, and end the one that is being made."""
        await self.keeper.close()

    async def rest(self) -> None:
        """End the scrubbing."""
        await self.scrubber.close()

    async def close(self) -> None:
        """Wait a moment for the tombstones."""
        await self.destroyer.close()
