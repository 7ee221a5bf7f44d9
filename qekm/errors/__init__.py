"""The one error tree. Every failure that a caller can act on is a leaf of it.

A category decides how an edge answers: exit code (EXIT_CODES), gRPC status (qekm/rpc/status.py), drive
sense code (qekm/serving/faults.py). A leaf names what is wrong.
"""

from qekm.errors.conditions import *
from qekm.errors.failures import *
from qekm.errors.kinds import *
from qekm.errors.names import *
from qekm.errors.requests import *
