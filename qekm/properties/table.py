"""The properties of a file, by name: of KeyManagerConfig.properties, in files by noun beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from qekm.properties.alarms import ALARMS
from qekm.properties.drives import DRIVES
from qekm.properties.kept import KEPT
from qekm.properties.keys import KEYS
from qekm.properties.listeners import LISTENERS
from qekm.properties.logs import LOGS
from qekm.properties.peers import PEERS
from qekm.properties.property import Property
from qekm.properties.tracing import TRACING


class Table(Mapping[str, Property]):
    """Properties by name, in the order in which a new file has them; `find` knows their other names, too."""

    def __init__(self, items: Iterable[Property], environment: str) -> None:
        """Take the rows; `environment` begins the name of every variable that wins over the file."""
        self._items = {item.name: item for item in items}
        self._spellings = {name: item for item in self._items.values() for name in (item.name, *item.also)}
        self._environment = environment

    def __getitem__(self, name: str) -> Property:
        """Return a property by its own name."""
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many properties there are."""
        return len(self._items)

    def find(self, spelling: str) -> Property | None:
        """Return a property by any of its names, None if there is none."""
        return self._spellings.get(spelling)

    def spellings(self) -> Iterable[str]:
        """Return every name of every property."""
        return self._spellings

    def variable(self, spelling: str) -> str:
        """Return the environment variable of a property: every dot of its name is an underscore."""
        return self._environment + spelling.replace(".", "_")


PROPERTIES = Table((*LISTENERS, *DRIVES, *KEYS, *PEERS, *LOGS, *ALARMS, *TRACING, *KEPT), "QEKM_PROPERTY_")
