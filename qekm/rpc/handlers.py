"""Servicers that are made once and put on any number of servers: what they count is counted once."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from collections.abc import Callable, Sequence
from typing import Any, cast

import grpc
from grpc import aio


class Handlers:
    """Takes what generated code gives to a server, and gives it to each server that comes."""

    def __init__(self, add: Callable[[aio.Server], None]) -> None:
        """Have `add` put its servicers here."""
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: dict[str, Any] = {}
        add(cast(aio.Server, self))

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take the handlers of a service."""
        self._generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Take the handlers of a service by method."""
        self._registered[service] = handlers

    def add_to(self, server: aio.Server) -> None:
        """Put all of them on a server that is not started yet."""
        server.add_generic_rpc_handlers(tuple(self._generic))
        for service, handlers in self._registered.items():
            server.add_registered_method_handlers(service, handlers)
