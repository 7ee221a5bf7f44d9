"""The fake of the server service."""

from __future__ import annotations

from typing import Any

from qekm.errors import QekmError
from qekm.v1 import server_pb2

from .parts import moment


class FakeServer:
    """How the service is."""

    def __init__(self) -> None:
        self.away: QekmError | None = None
        self.stopped = False
        self.status = server_pb2.GetStatusResponse(
            version="0.1.0",
            start_time=moment(),
            pid=4711,
            gateways=[server_pb2.Gateway(name="gateway", version="0.1.0", addresses=["[::]:3801"], pid=4712)],
            degraded=["keys are on this disk only (keystore.protect=none)"],
            drive_count=2,
            ready_key_count=1024,
            anchor=bytes(32),
            tcp_ports=[3801],
            ssl_port=443,
        )

    def _answer(self) -> None:
        if self.away:
            raise self.away

    def GetStatus(self, request: Any, timeout: float | None = None) -> Any:
        """Tell the planned status."""
        self._answer()
        return self.status

    def GetVersion(self, request: Any) -> Any:
        """Tell a version."""
        self._answer()
        return server_pb2.GetVersionResponse(version="0.1.0")

    def StopServer(self, request: Any) -> Any:
        """Note that it was asked."""
        self._answer()
        self.stopped = True
        return server_pb2.StopServerResponse()
