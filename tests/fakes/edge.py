"""A real grpc.aio server behind the real guard; its services answer every call with an empty message."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from qekm.accounts import Accounts
from qekm.api.authority import is_allowed
from qekm.api.entry import Entry
from qekm.api.guard import interceptors
from qekm.clock import steady_s
from qekm.denylist import DenyList
from qekm.errors import QekmError
from qekm.model import Role
from qekm.rpc import channel, tls
from qekm.rpc.identity import Identity
from qekm.sessions import Sessions
from tests.fakes.pki import Pki, now_us

NOUNS = (
    *("accounts", "alarms", "approvals", "audit", "backups", "certificates", "configuration", "diagnosis"),
    *("drives", "groups", "keystore", "peers", "report", "server", "serving", "sharing", "slots"),
)
Refusal = tuple[Identity | None, str, QekmError, str]


def contract() -> dict[str, MethodDescriptor]:
    """Return every method of qekm.v1 by the name that gRPC gives it (/package.Service/Method)."""
    files = [import_module(f"qekm.v1.{noun}_pb2").DESCRIPTOR for noun in NOUNS]
    return {
        f"/{service.full_name}/{method.name}": method
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


def shape(method: MethodDescriptor) -> str:
    """Return a method's shape as grpc names it, for example unary_stream."""
    asked = "stream" if method.client_streaming else "unary"
    return f"{asked}_{'stream' if method.server_streaming else 'unary'}"


def call(opened: aio.Channel | grpc.Channel, name: str, method: MethodDescriptor) -> Any:
    """Return what makes a call of a method on a channel."""
    return getattr(opened, shape(method))(
        name,
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )


def empty_handlers() -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return handlers that answer every call of the contract with one empty message."""
    return {name: _empty(method) for name, method in contract().items()}


def _empty(method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
    answer = GetMessageClass(method.output_type)

    async def once(request: Any, context: Any) -> Any:
        return answer()

    async def many(request: Any, context: Any) -> AsyncIterator[Any]:
        yield answer()

    make: Callable[..., grpc.RpcMethodHandler[Any, Any]] = getattr(
        grpc, f"{shape(method)}_rpc_method_handler"
    )
    return make(
        many if method.server_streaming else once,
        GetMessageClass(method.input_type).FromString,
        answer.SerializeToString,
    )


class Routes(grpc.GenericRpcHandler):
    """Handlers by full name."""

    def __init__(self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return a method's handler."""
        return self._handlers.get(handler_call_details.method)


@dataclass
class Edge:
    """A listening server and what its guard was told and tells."""

    pki: Pki
    now_us: Callable[[], int] = now_us
    allows: Callable[[Role, str], bool] = is_allowed
    deny: DenyList = field(default_factory=lambda: DenyList(()))
    refusals: list[Refusal] = field(default_factory=list)
    remote: bool = False
    entry: Entry | None = None  # None: nobody has a password
    host: str = "127.0.0.1"
    port: int = 0

    @asynccontextmanager
    async def serving(
        self,
        handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]] | None = None,
        register: Callable[[aio.Server], None] = lambda server: None,
    ) -> AsyncIterator[Edge]:
        """Serve on a free port of the loopback."""
        nobody = Entry(
            Accounts((), now_us, steady_s), Sessions(self.pki.estate, lambda: 15, steady_s, os.urandom)
        )
        guard = interceptors(
            *(self.deny, self.pki.estate, self.now_us, self._refuse, self.entry or nobody, self.allows),
            remote=self.remote,
        )
        server = channel.make_server(guard)
        register(server)
        server.add_generic_rpc_handlers((Routes(empty_handlers() if handlers is None else handlers),))
        self.port = server.add_secure_port(f"{self.host}:0", tls.server_credentials(self.pki.server))
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)

    @contextmanager
    def serving_aside(
        self,
        handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]] | None = None,
        register: Callable[[aio.Server], None] = lambda server: None,
    ) -> Iterator[Edge]:
        """Serve on a thread of its own, so that a blocking client can be tried."""
        ready, stop = threading.Event(), threading.Event()

        async def serve() -> None:
            async with self.serving(handlers, register):
                ready.set()
                await asyncio.to_thread(stop.wait)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert ready.wait(20)
            yield self
        finally:
            stop.set()
            thread.join(20)

    @property
    def target(self) -> str:
        """Return where it listens."""
        return f"localhost:{self.port}"

    def dial(self, files: tls.Files | str) -> Any:
        """Return an asyncio channel with a certificate; untyped, as the raw calls on it are."""
        files = self.pki.files(files) if isinstance(files, str) else files
        return channel.open_async_channel(self.target, tls.client_credentials(files))

    def _refuse(self, identity: Identity | None, method: str, error: QekmError, peer: str) -> None:
        self.refusals.append((identity, method, error, peer))
