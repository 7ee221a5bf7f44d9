"""OpenTelemetry traces to a collector, where a property names one; nothing of it is imported elsewhere.

Spans wait in a bounded queue and leave over a thread: a collector that is away costs spans and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qekm import __version__
from qekm.errors import BadConfiguration, QekmError
from qekm.properties.tracing import ENDPOINT, SAMPLE, TRUST

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.trace import Span, Tracer

_log = logging.getLogger(__name__)

TIMEOUT_S = 2  # for the collector's answer: at a stop somebody waits for it
EVERY_MS, MOST = 1_000, 2_048  # between two messages to the collector; spans that wait
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", re.ASCII)  # W3C Trace Context, sampled


class Settings(Protocol):
    """Typed values by the name of their property."""

    def __getitem__(self, name: str) -> Any:
        """Return a property's value."""


class Tracing:
    """A process's tracer. trouble: why the collector takes nothing at present; empty while it does."""

    def __init__(self, provider: TracerProvider, sending: Sending) -> None:
        """Use `Traces`."""
        self.tracer: Tracer = provider.get_tracer("qekm", __version__)
        self._provider, self._sending = provider, sending

    @property
    def trouble(self) -> str:
        """Return what a status says of the collector."""
        return self._sending.trouble

    def begin(self, name: str, within: Context | Span | None = None, **attributes: Any) -> Span:
        """Begin a span within another one, of this process or another; attributes have qekm. before them."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Span, set_span_in_context

        parent = set_span_in_context(within, Context()) if isinstance(within, Span) else within or Context()
        named = {f"qekm.{key}": value for key, value in attributes.items()}
        return self.tracer.start_span(name, parent, attributes=named)

    def close(self) -> None:
        """Send what waits, for at most a moment, and end."""
        self._sending.end_s = time.monotonic() + TIMEOUT_S
        self._provider.shutdown()


def traceparent_of(span: Span) -> str:
    """Return what another process needs to go on with a trace; empty for one that nobody records."""
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def context_of(traceparent: str) -> Context | None:
    """Return where a trace goes on; None if the text is no traceparent of a trace that is recorded."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    told = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(told), Context()) if told.is_valid else None


class Sending:
    """A span exporter that never says more than once that its collector is away."""

    def __init__(self, exporter: Any, endpoint: str) -> None:
        self._exporter, self._endpoint, self.trouble = exporter, endpoint, ""
        self.end_s = 0.0  # nothing is begun after it

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; in the processor's thread."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self.end_s and time.monotonic() > self.end_s:
            return SpanExportResult.FAILURE
        result: SpanExportResult = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self.trouble:
                _log.warning("traces are sent again")
            self.trouble = ""
        elif not self.trouble:
            self.trouble = f"no traces: {self._endpoint} ({ENDPOINT}) does not take them"
            _log.warning("%s", self.trouble)
        return result

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Wait for what is under way."""
        return bool(self._exporter.force_flush(timeout_millis))


class Traces:
    """What a process has of traces. tracing: None where none are wanted, or cannot be had."""

    def __init__(self, process: str, settings: Settings, home: Path) -> None:
        """Open what the settings want; a process serves without it, too."""
        self.tracing: Tracing | None = None
        self._trouble = ""
        if not settings[ENDPOINT]:
            return
        try:
            self.tracing = _open(process, settings, home)
        except ImportError:
            what = f"{ENDPOINT} is set, and OpenTelemetry is not installed"
            self._trouble = f"no traces: {what}: pip install 'qekm[tracing]'"
        except QekmError as error:
            self._trouble = f"no traces: {error.message}"

    def lines(self) -> list[str]:
        """Return what a status says."""
        trouble = self.tracing.trouble if self.tracing is not None else self._trouble
        return [trouble] if trouble else []

    async def close(self) -> None:
        """Send what waits, for at most a moment."""
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


def _open(process: str, settings: Settings, home: Path) -> Tracing:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # else a line for each attempt
    sending = Sending(_exporter(settings, home), settings[ENDPOINT])
    about = {"service.name": process, "service.version": __version__, "host.name": socket.gethostname()}
    sampler = ParentBased(TraceIdRatioBased(settings[SAMPLE] / 100))
    provider = TracerProvider(sampler, Resource(about), shutdown_on_exit=False)
    batches = BatchSpanProcessor(
        sending,  # type: ignore[arg-type]  # it has the methods, and importing the class is for later
        max_queue_size=MOST,
        schedule_delay_millis=EVERY_MS,
    )
    provider.add_span_processor(batches)
    return Tracing(provider, sending)


def _exporter(settings: Settings, home: Path) -> Any:
    import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

    # isort: split
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    credentials = None
    if settings[TRUST]:
        path = home / settings[TRUST]
        try:
            credentials = grpc.ssl_channel_credentials(path.read_bytes())
        except OSError as error:
            raise BadConfiguration(f"cannot read {path} ({TRUST}): {error.strerror}") from None
    insecure = settings[ENDPOINT].startswith("http://")
    return OTLPSpanExporter(
        settings[ENDPOINT], insecure, None if insecure else credentials, timeout=TIMEOUT_S
    )
