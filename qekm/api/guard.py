"""The guard in front of every call: who calls, may they, and what of a failure leaves the service.

One interceptor, the outermost. It looks at the certificate in every call, not only in the handshake: grpc
has no revocation list, and a connection outlives what its certificate was worth. Calls under way end with it.
"""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from qekm.api.answers import begin, each, hear_out, in_time, pour, refuse
from qekm.api.authority import is_allowed
from qekm.api.entry import Entry
from qekm.api.underway import Mark, UnderWay, this_task
from qekm.clock import utc
from qekm.errors import (
    BadArgument,
    DeniedError,
    FaultError,
    IdentityError,
    Incident,
    NotAllowed,
    PasswordNeeded,
    QekmError,
    RevokedIdentity,
    UnknownIdentity,
)
from qekm.model import Role
from qekm.rpc.identity import Identity, Passport, peer_certificate, read_passport
from qekm.rpc.sessions import METADATA_KEY
from qekm.sessions import Place

_log = logging.getLogger(__name__)
_caller: ContextVar[Identity] = ContextVar("caller")

_PASSPORTS = 1_024  # certificates kept parsed

Context = aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its types only
Allows = Callable[[Role, str], bool]
OnRefusal = Callable[[Identity | None, str, QekmError, str], None]
T = TypeVar("T")


class Deny(Protocol):
    """The certificates that are refused although they verify (qekm.denylist.DenyList)."""

    def __contains__(self, serial: object, /) -> bool:
        """Tell whether the certificate of this serial (lower-case hex) is refused."""

    def watch(self, ended: Callable[[str], None], /) -> None:
        """Call `ended` with each serial that is added from now on."""


def caller() -> Identity:
    """Return who makes the call that is being served; LookupError outside of one."""
    return _caller.get()


def interceptors(
    deny: Deny,
    estate: bytes,
    now_us: Callable[[], int],
    on_refusal: OnRefusal,
    entry: Entry,
    allows: Allows = is_allowed,
    *,
    remote: bool,
    arrived: Callable[[str], None] = lambda _peer: None,
) -> list[aio.ServerInterceptor]:
    """Return what a server of this estate (16 bytes) puts in front of its services.

    on_refusal: called with the identity (None if there is none), method, error and peer address of each call
    that is refused for who makes it; it must not block. entry: who needs a session. allows: which role may
    call which method. remote: whether the server listens for others than its own machine. arrived: told of
    each call's peer address.
    """
    guard = Guard(deny, estate, now_us, on_refusal, entry, allows, remote)
    guard.arrived = arrived
    return [guard]


class Guard(aio.ServerInterceptor):
    """Wraps every handler, whatever its shape, in the same boundary."""

    def __init__(
        self,
        deny: Deny,
        estate: bytes,
        now_us: Callable[[], int],
        on_refusal: OnRefusal,
        entry: Entry,
        allows: Allows,
        remote: bool,
    ) -> None:
        self._deny = deny
        self._estate = estate
        self._now_us = now_us
        self._on_refusal = on_refusal
        self._entry, self._allows, self._remote = entry, allows, remote
        self._handlers: dict[str, Handler] = {}
        self._passports: dict[bytes, Passport] = {}
        self._calls = UnderWay()
        self.arrived: Callable[[str], None] = lambda _peer: None
        deny.watch(self._calls.end)
        entry.watch(self._calls.end)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the guarded handler of a method; grpc answers UNIMPLEMENTED where there is none."""
        method = handler_call_details.method
        if (guarded := self._handlers.get(method)) is not None:
            return guarded
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        guarded = self._handlers[method] = self._wrap(method, handler)
        return guarded

    def _wrap(self, method: str, handler: Handler) -> Handler:
        """Return a handler of the same shape whose behaviour runs inside the boundary."""
        asked = "stream" if handler.request_streaming else "unary"
        answered = "stream" if handler.response_streaming else "unary"
        inner = getattr(handler, f"{asked}_{answered}")
        make: Callable[..., Handler] = getattr(grpc, f"{asked}_{answered}_rpc_method_handler")
        # What has one answer is read inside the boundary: its sender is admitted then, errors are our own.
        early, late = handler.request_deserializer, None
        if not (handler.request_streaming and handler.response_streaming):
            early, late = None, early
        run = partial(self._run, method, handler.request_streaming or handler.response_streaming)

        def read(request: Any) -> Any:
            if late is None:
                return request
            return each(late, request) if handler.request_streaming else late(request)

        async def answer_once(request: Any, context: Context) -> Any:
            rest = request if handler.request_streaming else None
            return await run(context, lambda: in_time(inner(read(request), context), context), rest)

        async def answer_many(request: Any, context: Context) -> None:
            await begin(context)
            await run(context, lambda: pour(inner, read(request), context))

        behaviour = answer_many if handler.response_streaming else answer_once
        return make(behaviour, early, handler.response_serializer)

    async def _run(
        self,
        method: str,
        lasts: bool,
        context: Context,
        body: Callable[[], Awaitable[T]],
        rest: AsyncIterator[Any] | None = None,
    ) -> T:
        """Admit the caller, run the body, and turn what goes wrong into a status. The only way in and out.

        lasts: whether it is a stream, which nothing else keeps from outliving its session. rest: what its
        caller still says before it hears an answer.
        """
        passport: Passport | None = None
        self.arrived(context.peer())
        try:
            passport = self._passport(context)
            self._admit(passport, method)
            session = self._entry.check(passport.identity, method, session_of(context), remote=self._remote)
            _caller.set(passport.identity)
            with self._under_way(passport, session, lasts):
                return await body()
        except aio.AbortError:
            raise  # the servicer said it all
        except QekmError as error:
            failure = error
        except DecodeError:
            failure = BadArgument(f"what was sent is no message that {method} takes")
        except asyncio.CancelledError:
            if this_task().cancelling():
                raise  # the client has gone, or the server is stopping
            failure = _incident(method)  # what the servicer waited for was cancelled
        except Exception:
            failure = _incident(method)
        self._tell(passport.identity if passport else None, method, failure, context)
        if rest is not None and not isinstance(failure, IdentityError):
            failure.__traceback__ = None  # what came so far, which may be much, is held by its frames
            await hear_out(rest)
        return await refuse(context, failure)

    def _passport(self, context: Context) -> Passport:
        certificate = peer_certificate(context.auth_context())
        if certificate is None:
            raise UnknownIdentity("the call came without a certificate")
        passport = self._passports.get(certificate)
        if passport is None:
            if len(self._passports) >= _PASSPORTS:
                self._passports.clear()
            passport = self._passports[certificate] = read_passport(certificate)
        return passport

    def _admit(self, passport: Passport, method: str) -> None:
        identity = passport.identity
        if passport.estate != self._estate:
            raise UnknownIdentity("the certificate is of another key manager's estate")
        if identity.serial in self._deny:
            raise _ended(passport)
        if not passport.start_us <= self._now_us() < passport.end_us:
            raise _not_valid(passport, self._now_us())
        if not self._allows(identity.role, method):
            role = identity.role.name.lower()
            raise NotAllowed(f"the role {role} may not call {method}", role=role, method=method)

    @contextlib.contextmanager
    def _under_way(self, passport: Passport, session: Place | None, lasts: bool) -> Iterator[None]:
        """Keep a call where the end of what let it in finds it; RevokedIdentity then."""
        task = this_task()
        left: dict[Mark, float] = {
            passport.identity.serial: max(0.0, (passport.end_us - self._now_us()) / 1e6)
        }
        if session:
            left[session] = self._entry.left_s(session) if lasts else math.inf
        first = min(left, key=lambda mark: left[mark])
        with self._calls.keep(*left) as call:
            timer = task.get_loop().call_later(left[first], call.end, first)
            try:
                yield
            except asyncio.CancelledError:
                # The client may have gone in the same moment; then its cancellation goes on.
                if call.ended is None or task.uncancel() > 0:
                    raise
                raise self._why_ended(passport, call.ended) from None
            finally:
                timer.cancel()

    def _why_ended(self, passport: Passport, ended: Mark) -> RevokedIdentity:
        if passport.identity.serial in self._deny:
            return _ended(passport)
        if isinstance(ended, str):
            return _not_valid(passport, self._now_us())
        # Not PasswordNeeded: that call was never begun, and a client makes it again.
        return RevokedIdentity(
            f"the session of {passport.identity.actor} has ended", hint="log in again with: qekm login"
        )

    def _tell(self, identity: Identity | None, method: str, failure: QekmError, context: Context) -> None:
        if isinstance(failure, FaultError) and not isinstance(failure, Incident):
            _log.error("%s failed: %s", method, failure.message)
        if isinstance(failure, PasswordNeeded) and not (self._remote or session_of(context)):
            return  # what every client of this machine meets first, before it logs in
        if isinstance(failure, DeniedError | IdentityError):
            try:
                self._on_refusal(identity, method, failure, context.peer())
            except Exception:
                _log.exception("a refusal of %s could not be recorded", method)


def session_of(context: Context) -> bytes:
    """Return the session that a call was sent with; empty for none."""
    for key, value in context.invocation_metadata() or ():
        if key == METADATA_KEY:
            return value if isinstance(value, bytes) else b""
    return b""


def _ended(passport: Passport) -> RevokedIdentity:
    return RevokedIdentity(f"the certificate of {passport.identity.actor} was revoked", revoked="yes")


def _not_valid(passport: Passport, now_us: int) -> RevokedIdentity:
    """Return the error of a certificate out of its time; the service's own, told in it, may be wrong."""
    return RevokedIdentity(
        f"the certificate of {passport.identity.actor} is not valid now: it is from "
        f"{utc(passport.start_us)} to {utc(passport.end_us)}, and the service's time is {utc(now_us)}",
        hint="compare the clocks; renew before the end with: qekm certificates renew; "
        "after it, with the service stopped: qekm-server renew",
    )


def _incident(method: str) -> Incident:
    """Log the exception being handled under a number, and return the error that tells only the number."""
    number = os.urandom(4).hex()
    _log.exception("incident %s in %s", number, method)
    return Incident(f"internal error, incident {number}", incident=number)
