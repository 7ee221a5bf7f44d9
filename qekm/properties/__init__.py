"""The properties that may be set: one typed table, and how the text of each is read."""

from qekm.properties.property import Property
from qekm.properties.table import PROPERTIES

__all__ = ["PROPERTIES", "Property"]
