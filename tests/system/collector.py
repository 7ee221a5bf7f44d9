"""A collector of traces in the test: a gRPC server that takes OTLP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@dataclass(frozen=True)
class Seen:
    """One span as it came."""

    process: str
    name: str
    id: bytes
    trace: bytes
    parent: bytes
    attributes: dict[str, Any]
    error: bool


@dataclass
class Collector(TraceServiceServicer):  # type: ignore[misc]
    """What was sent."""

    spans: list[Seen] = field(default_factory=list)
    port: int = 0

    def Export(self, request: Any, context: Any) -> Any:
        """Take spans."""
        for resource in request.resource_spans:
            told = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_seen(told["service.name"], span) for span in scope.spans]
        return ExportTraceServiceResponse()

    def named(self, process: str, name: str) -> list[Seen]:
        """Return the spans of a name."""
        return [span for span in self.spans if (span.process, span.name) == (process, name)]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a free port for the block."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


def _seen(process: str, span: Any) -> Seen:
    found = _plain(span.attributes)
    return Seen(
        process, span.name, span.span_id, span.trace_id, span.parent_span_id, found, span.status.code == 2
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
