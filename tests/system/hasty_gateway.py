"""A gateway that is broken on purpose: it leaves a port as soon as it has another one.

python -m tests.system.hasty_gateway run --home HOME
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from qekm_gateway import parts, server
from qekm_gateway.ports import Ports


class HastyPorts(Ports):
    """Drains nothing."""

    async def move(self, hosts: Sequence[str], port: int, drain: float) -> None:
        """Move, and close what was before at once."""
        await super().move(hosts, port, 0)


if __name__ == "__main__":
    parts.Ports = HastyPorts  # type: ignore[misc]
    sys.exit(server.main(sys.argv[1:]))
