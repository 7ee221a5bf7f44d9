"""The service with one fault built in (sabotage.py).

python -m tests.faults.broken_service BUILD run --home HOME
"""

from __future__ import annotations

import sys

from qekm import server
from tests.faults.sabotage import sabotage

if __name__ == "__main__":
    sabotage(sys.argv[1])
    server.main(sys.argv[2:])
