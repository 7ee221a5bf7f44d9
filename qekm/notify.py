"""What a process tells the service manager that started it: sd_notify(3), systemd.service(5).

Elsewhere, where no NOTIFY_SOCKET is named, nothing is told and nothing fails. A message that cannot be sent
is not sent again: the service manager has gone, or has more than it reads, and neither is a reason to stop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress

SOCKET, PATIENCE, PATIENCE_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
MORE_TIME_US = 60_000_000  # for the next part of a start; each part that is done asks anew
_SEND_S = 1.0  # systemd reads at once; where it does not, this process has other things to do
_PINGS = 3  # within the time after which systemd takes the process for dead


class Notifier:
    """Tells one service manager how its process is."""

    def __init__(self, address: str = "", patience_us: int = 0) -> None:
        """Take the address of a datagram socket (`@` begins an abstract one) and the watchdog's patience."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.patience_us = patience_us

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """Return what the environment names and take it out: a child must not speak for its parent."""
        address, pid = environ.pop(SOCKET, ""), environ.pop(PATIENCE_PID, "")
        patience = environ.pop(PATIENCE, "")
        ours = pid in ("", str(os.getpid())) and patience.isascii() and patience.isdecimal()
        return cls(address, int(patience) if ours else 0)

    def starting(self, status: str) -> None:
        """Tell what a long start is at, and that the next part of it may take a minute more."""
        self._tell(f"EXTEND_TIMEOUT_USEC={MORE_TIME_US}", f"STATUS={status}")

    def ready(self, status: str) -> None:
        """Tell that the process does its work from now on."""
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """Tell that the process ends."""
        self._tell("STOPPING=1", "STATUS=stopping")

    async def guard(self, well: Callable[[], bool]) -> None:
        """Ping the watchdog until cancelled, as long as this event loop turns and the process is well."""
        while self.patience_us:
            if well():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.patience_us / 1e6 / _PINGS)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), self._address)


def told(ports: Mapping[str, int]) -> str:
    """Return the ports of a process as its status names them: grpc 3802, ssl 443."""
    return ", ".join(f"{name} {port}" for name, port in ports.items())
