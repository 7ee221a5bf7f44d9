"""Sealing: the root key in its slots, and everything else under the root key."""

from qekm.sealing.keyfile import KeyFileSealer, KeySealer
from qekm.sealing.keyring import KeyRing
from qekm.sealing.password import COST, PasswordSealer, check_password
from qekm.sealing.privatefile import read_private
from qekm.sealing.shares import SharesSealer, combine, read_shares, split
from qekm.sealing.slot import Cost, Sealer
from qekm.sealing.token import TokenKey, TokenSealer
from qekm.sealing.verifier import Verifiers

__all__ = [
    "COST",
    "Cost",
    "KeyFileSealer",
    "KeyRing",
    "KeySealer",
    "PasswordSealer",
    "Sealer",
    "SharesSealer",
    "TokenKey",
    "TokenSealer",
    "Verifiers",
    "check_password",
    "combine",
    "read_private",
    "read_shares",
    "split",
]
