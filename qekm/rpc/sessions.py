"""The session that proves a command password: sent with every call, come by when one is wanted.

A call that is refused for want of a session was not begun, so it is made again with a new one. A call with
many questions or answers cannot be: before it the service is asked whether the session is good.
"""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
from grpc import aio

from qekm.errors import NotAllowed, PasswordNeeded, StateError
from qekm.rpc.calls import Details

METADATA_KEY = "qekm-session-bin"
_OWN = ("AccountsService/Login", "AccountsService/Logout")  # never worth a new session
_NO_SESSIONS = (NotAllowed, StateError)  # of a role that has none, and from a service that knows none

Password = Callable[[], str | bytes]
Keep = Callable[[bytes, int], None]


class Session:
    """What is sent, and whom to ask and to tell when it is not good any more."""

    def __init__(self, value: bytes | None, password: Password | None, keep: Keep | None) -> None:
        """Take a session from before, where to ask for the password, and whom to tell of a new session.

        keep: called with the session and its end in microseconds since 1970, or with b"" and 0 when the
        session from before was refused.
        """
        self.value = value or b""
        self._password, self._keep = password, keep

    def added(self, metadata: Any) -> list[tuple[str, str | bytes]]:
        """Return a call's metadata with the session."""
        return [*(metadata or ()), *([(METADATA_KEY, self.value)] if self.value else [])]

    def source(self, refused: PasswordNeeded) -> Password:
        """Forget the session that was refused and return where to ask for the password; raises `refused`."""
        if self.value and self._keep is not None:
            self._keep(b"", 0)
        self.value = b""
        if self._password is None:
            raise refused
        return self._password

    def take(self, answer: Any) -> None:
        """Use the session of a LoginResponse from now on."""
        self.value = answer.session
        if self._keep is not None:
            self._keep(answer.session, answer.expire_time.ToMicroseconds())


class Sessions(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor
):
    """For a blocking channel, which is to be told to it before the first call; in front of calls.Calls."""

    def __init__(self, session: Session) -> None:
        self.channel: Any = None
        self._session, self._lock = session, threading.Lock()

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call, and once more with a new session if it was refused for want of one."""
        sent = self._session.value
        outcome = continuation(self._with_session(client_call_details), request)
        refused = outcome.exception()
        if not isinstance(refused, PasswordNeeded) or _is_own(client_call_details):
            return outcome
        self._log_in(sent, refused)
        return continuation(self._with_session(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call with a session that is good."""
        self._prove()
        return continuation(self._with_session(client_call_details), request)

    def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Make the call with a session that is good."""
        self._prove()
        return continuation(self._with_session(client_call_details), request_iterator)

    def _with_session(self, told: grpc.ClientCallDetails) -> Details:
        return Details.of(told, metadata=self._session.added(told.metadata))

    def _prove(self) -> None:
        from qekm.v1.accounts_pb2 import GetSessionRequest

        with contextlib.suppress(*_NO_SESSIONS):
            self._accounts().GetSession(GetSessionRequest())

    def _log_in(self, sent: bytes, refused: PasswordNeeded) -> None:
        """Get a new session, unless another thread did since `sent` went out."""
        from qekm.v1.accounts_pb2 import LoginRequest

        with self._lock:
            if self._session.value != sent:
                return
            source = self._session.source(refused)
            self._session.take(self._accounts().Login(LoginRequest(password=_encoded(source()))))

    def _accounts(self) -> Any:
        from qekm.v1.accounts_pb2_grpc import AccountsServiceStub

        return AccountsServiceStub(self.channel)


class AsyncSessions:
    """For an asyncio channel, which is to be told to it before the first call.

    grpc takes one kind of call per interceptor: `interceptors` are three, to be put in front of those of
    qekm.rpc.calls.
    """

    def __init__(self, session: Session) -> None:
        self.channel: Any = None
        self._session, self._lock = session, asyncio.Lock()

    @property
    def interceptors(self) -> list[aio.ClientInterceptor]:
        """Return what goes into the channel."""
        return [_AsyncCalls(self), _AsyncStreams(self), _AsyncUploads(self)]

    def with_session(self, details: Any) -> Any:
        """Return a call's settings, a named tuple, with the session."""
        return details._replace(metadata=aio.Metadata(*self._session.added(details.metadata)))

    async def call(self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
        """Make the call, and once more with a new session if it was refused for want of one."""
        sent = self._session.value
        try:
            return await continuation(self.with_session(details), request)
        except PasswordNeeded as refused:
            if _is_own(details):
                raise
            await self._log_in(sent, refused)
        return await continuation(self.with_session(details), request)

    async def prove(self) -> None:
        """See to a good session, if one is wanted."""
        from qekm.v1.accounts_pb2 import GetSessionRequest

        with contextlib.suppress(*_NO_SESSIONS):
            await self._accounts().GetSession(GetSessionRequest())

    async def _log_in(self, sent: bytes, refused: PasswordNeeded) -> None:
        """Get a new session, unless another task did since `sent` went out."""
        from qekm.v1.accounts_pb2 import LoginRequest

        async with self._lock:
            if self._session.value != sent:
                return
            given = await asyncio.to_thread(self._session.source(refused))  # it may wait for a person
            self._session.take(await self._accounts().Login(LoginRequest(password=_encoded(given))))

    def _accounts(self) -> Any:
        from qekm.v1.accounts_pb2_grpc import AccountsServiceStub

        return AccountsServiceStub(self.channel)


class _AsyncCalls(aio.UnaryUnaryClientInterceptor):
    def __init__(self, sessions: AsyncSessions) -> None:
        self._sessions = sessions

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        return await self._sessions.call(continuation, client_call_details, request)


class _AsyncStreams(aio.UnaryStreamClientInterceptor):
    def __init__(self, sessions: AsyncSessions) -> None:
        self._sessions = sessions

    async def intercept_unary_stream(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        await self._sessions.prove()
        return await continuation(self._sessions.with_session(client_call_details), request)


class _AsyncUploads(aio.StreamUnaryClientInterceptor):
    def __init__(self, sessions: AsyncSessions) -> None:
        self._sessions = sessions

    async def intercept_stream_unary(
        self,
        continuation: Callable[..., Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        await self._sessions.prove()
        return await continuation(self._sessions.with_session(client_call_details), request_iterator)


def _is_own(details: Any) -> bool:
    name = details.method
    return str(name.decode() if isinstance(name, bytes) else name).endswith(_OWN)


def _encoded(password: str | bytes) -> bytes:
    return password.encode() if isinstance(password, str) else password
