"""What every call of a client of ours has: a deadline, and errors of our tree instead of gRPC's."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

from qekm.errors import QekmError


def _ours(error: grpc.RpcError, target: str) -> QekmError:
    """Return our error for gRPC's; what reads its details is a sixth of a command's start, so only now."""
    from qekm.rpc.status import from_rpc_error

    return from_rpc_error(error, target)


@dataclass(frozen=True, slots=True)
class Details(grpc.ClientCallDetails):
    """A call's settings as we change them; the fields are those that grpc looks for."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any

    @classmethod
    def of(cls, told: grpc.ClientCallDetails, **changed: Any) -> Details:
        """Return a copy of a call's settings with some of them changed."""
        names = ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")
        return cls(**{name: getattr(told, name) for name in names} | changed)


class Calls(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor
):
    """For a blocking channel. A call with many questions or answers has no deadline but its caller's."""

    def __init__(self, target: str, deadline_s: float) -> None:
        self._target, self._deadline_s = target, deadline_s

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call and raise what it failed with; a future is waited for."""
        told = client_call_details
        timeout = self._deadline_s if told.timeout is None else told.timeout
        outcome = continuation(Details.of(told, timeout=timeout), request)
        error = outcome.exception()
        if isinstance(error, grpc.RpcError):
            raise _ours(error, self._target) from error
        return outcome

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call; its answers raise what it fails with."""
        return _Answers(continuation(client_call_details, request), self._target)

    def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Make the call, wait for its answer and raise what it failed with."""
        outcome = continuation(client_call_details, request_iterator)
        error = outcome.exception()
        if isinstance(error, grpc.RpcError):
            raise _ours(error, self._target) from error
        return outcome


class _Answers:
    """The answers of one call; everything but the iteration is the call's own."""

    def __init__(self, call: Any, target: str) -> None:
        self._call, self._target = call, target

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise _ours(error, self._target) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class AsyncCalls(aio.UnaryUnaryClientInterceptor):
    """For the calls of an asyncio channel with one answer."""

    def __init__(self, target: str, deadline_s: float) -> None:
        self._target, self._deadline_s = target, deadline_s

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Make the call and return its answer, or raise what it failed with."""
        details: Any = client_call_details  # a named tuple, which its types do not tell
        if details.timeout is None:
            details = details._replace(timeout=self._deadline_s)
        try:
            return await (await continuation(details, request))
        except aio.AioRpcError as error:
            raise _ours(error, self._target) from error


class AsyncUploads(aio.StreamUnaryClientInterceptor):
    """For the calls of an asyncio channel with many questions and one answer."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def intercept_stream_unary(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        """Make the call; its answer raises what it failed with. Unlike elsewhere, grpc takes only a call."""
        return _Answer(await continuation(client_call_details, request_iterator), self._target)


class _Answer:
    """The one answer of a call, to be awaited; everything else is the call's own."""

    def __init__(self, call: Any, target: str) -> None:
        self._call, self._target = call, target

    def __await__(self) -> Generator[Any, None, Any]:
        return self._translated().__await__()

    async def _translated(self) -> Any:
        try:
            return await self._call
        except aio.AioRpcError as error:
            raise _ours(error, self._target) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class AsyncStreams(aio.UnaryStreamClientInterceptor):
    """For the calls of an asyncio channel with many answers; grpc takes one kind of call per interceptor."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def intercept_unary_stream(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Make the call; its answers raise what it fails with."""
        return self._translate(await continuation(client_call_details, request))

    async def _translate(self, call: Any) -> AsyncIterator[Any]:
        try:
            async for answer in call:
                yield answer
        except aio.AioRpcError as error:
            raise _ours(error, self._target) from error
