"""The properties that may be set: one typed table, and how the text of each is read."""

from qekm.properties.property import NOT_SHOWN, Property, is_password, shown
from qekm.properties.table import PROPERTIES, Table

__all__ = ["NOT_SHOWN", "PROPERTIES", "Property", "Table", "is_password", "shown"]
