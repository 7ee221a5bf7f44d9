"""Own the data keys: find, open, make, and change their state. Memory only: what changes is returned."""

from qekm.keystore.index import Mount, never_given
from qekm.keystore.making import KEY_LENGTH
from qekm.keystore.owner import Keystore
from qekm.keystore.states import NEXT, READABLE

__all__ = ["KEY_LENGTH", "NEXT", "READABLE", "Keystore", "Mount", "never_given"]
