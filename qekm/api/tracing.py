"""Spans of the service: a call, the decision of a step, and the commit that its reply waits for.

A stream has no span of its own: it lasts for days. Nothing here is loaded unless traces are wanted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
from grpc import aio
from opentelemetry.trace import Span, Status, StatusCode

from qekm.api.gateways import Link, Unit
from qekm.api.guard import caller
from qekm.api.serving import ServingServicer, Submits
from qekm.dkp.frame import Frame
from qekm.rpc.frames import to_reply
from qekm.serving import Decision
from qekm.tracing import Tracing, context_of
from qekm.v1.serving_pb2 import Step

TRACEPARENT = "traceparent"  # of the metadata, W3C Trace Context
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its types only


class CallSpans(aio.ServerInterceptor):
    """Outside of the guard: what it refuses is seen, too."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, in a span if it has one question and one answer."""
        found = await continuation(handler_call_details)
        if found is None or found.request_streaming or found.response_streaming:
            return found
        method = handler_call_details.method
        inner: Any = found.unary_unary

        async def answer(request: Any, context: Any) -> Any:
            span = self._begin(method, context)
            try:
                return await inner(request, context)
            except BaseException:
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                _end(span, context)

        return grpc.unary_unary_rpc_method_handler(
            answer, found.request_deserializer, found.response_serializer
        )

    def _begin(self, method: str, context: Any) -> Span:
        sent = dict(context.invocation_metadata() or ()).get(TRACEPARENT, "")
        span = self._tracing.begin(method.removeprefix("/"), context_of(str(sent)))
        service, _, name = method.removeprefix("/").rpartition("/")
        span.set_attributes({"rpc.system": "grpc", "rpc.service": service, "rpc.method": name})
        return span


def _end(span: Span, context: Any) -> None:
    code = context.code()
    span.set_attribute("rpc.grpc.status_code", getattr(code, "value", (code or 0,))[0])
    with suppress(LookupError):  # nobody was let in
        span.set_attribute("qekm.actor", caller().actor)
    span.end()


class TracedServing(ServingServicer):
    """Spans for the steps that a gateway has in a trace."""

    def __init__(self, tracing: Tracing, *given: Any) -> None:
        super().__init__(*given)
        self._tracing = tracing
        self._store = self._commits = _Commits(self._store, tracing)

    def _decide(self, link: Link, step: Step, frame: Frame | Exception) -> Decision:
        within = context_of(step.traceparent)
        if within is None:
            return super()._decide(link, step, frame)
        span = self._tracing.begin(
            "decide", within, message=step.WhichOneof("frame") or "", gateway=link.name
        )
        made = super()._decide(link, step, frame)
        answer = to_reply(made.reply, step.step_id, made.session_id, made.sequence & 0xFFFFFFFF)
        span.set_attribute("qekm.answer", answer.WhichOneof("frame") or "")
        if code := answer.error.code:
            span.set_attribute("qekm.error", f"{code:04X}")
        if made.changes:
            self._commits.deciding.append(span)
        span.end()
        return made


class _Commits:
    """The store, with a span for each commit that steps of a trace wait for."""

    def __init__(self, store: Submits, tracing: Tracing) -> None:
        self._store, self._tracing = store, tracing
        self.deciding: list[Span] = []  # of the batch that is being decided

    def submit(self, units: Sequence[Unit]) -> Any:
        """Hand units over; the spans end when they are durable."""
        within, self.deciding = self.deciding, []
        spans = [self._tracing.begin("commit", each) for each in within]
        commit = self._store.submit(units)

        def end(_done: object) -> None:
            for span in spans:
                span.end()

        if spans:
            commit.add_done_callback(end)
        return commit
