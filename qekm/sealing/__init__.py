"""Sealing: the root key in its slots, and everything else under the root key."""

from qekm.sealing.keyfile import KeyFileSealer
from qekm.sealing.keyring import KeyRing
from qekm.sealing.password import COST, PasswordSealer, check_password
from qekm.sealing.slot import Cost, Sealer

__all__ = ["COST", "Cost", "KeyFileSealer", "KeyRing", "PasswordSealer", "Sealer", "check_password"]
