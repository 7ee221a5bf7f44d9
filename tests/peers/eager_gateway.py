"""A gateway that looks at its certificate several times a second, and not once an hour.

python -m tests.peers.eager_gateway run --home HOME
"""

from __future__ import annotations

import sys

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from qekm_gateway import renewing, server

if __name__ == "__main__":
    renewing.LOOK = 0.2
    sys.exit(server.main(sys.argv[1:]))
