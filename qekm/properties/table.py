"""The properties that may be set in KeyManagerConfig.properties: one table, in files by noun."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm.properties.drives import DRIVES
from qekm.properties.kept import KEPT
from qekm.properties.keys import KEYS
from qekm.properties.listeners import LISTENERS
from qekm.properties.logs import LOGS
from qekm.properties.property import Property

_TABLE = (*LISTENERS, *DRIVES, *KEYS, *LOGS, *KEPT)

PROPERTIES: Mapping[str, Property] = MappingProxyType({item.name: item for item in _TABLE})
