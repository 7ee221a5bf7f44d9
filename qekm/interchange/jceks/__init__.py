"""Java's JCEKS keystores: the original's EKMKeys.jck, and what keytool makes.

parse() reads the structure and checks the password of the whole; unprotect() opens one key, which costs
2 * iterations of MD5, so that unprotect_all() does many over all cores; data_keys() does that for the keys
that tapes are written with. write() is the way back. The format
falls to a desktop computer: it is for moving keys, never for keeping them.
"""

from qekm.interchange.jceks.container import parse, serialize
from qekm.interchange.jceks.cover import ITERATIONS, MOST_ITERATIONS
from qekm.interchange.jceks.datakeys import Useless, data_keys, on_tape, opens_one, secret_keys
from qekm.interchange.jceks.entries import (
    Entry,
    Key,
    Kind,
    PrivateKey,
    ProtectedKey,
    SecretKey,
    TrustedCertificate,
)
from qekm.interchange.jceks.protecting import protect, unprotect
from qekm.interchange.jceks.stretching import unprotect_all, write

__all__ = [
    "ITERATIONS",
    "MOST_ITERATIONS",
    "Entry",
    "Key",
    "Kind",
    "PrivateKey",
    "ProtectedKey",
    "SecretKey",
    "TrustedCertificate",
    "Useless",
    "data_keys",
    "on_tape",
    "opens_one",
    "parse",
    "protect",
    "secret_keys",
    "serialize",
    "unprotect",
    "unprotect_all",
    "write",
]
