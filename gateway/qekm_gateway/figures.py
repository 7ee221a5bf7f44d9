"""What Prometheus is told of a gateway; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cryptography import x509

from qekm.dkp.fields import MessageType
from qekm.families import Family, build, count, counter, gauge, histogram, one
from qekm.metrics import Metrics
from qekm_gateway.activity import Activity
from qekm_gateway.admission import Admission
from qekm_gateway.gateway import Gateway
from qekm_gateway.lines import Lines
from qekm_gateway.services import Service

_NAMES = {int(kind): kind.name.lower() for kind in MessageType}


def attach(
    metrics: Metrics, gateway: Gateway, lines: Lines, services: Iterable[Service], certificate: Path
) -> None:
    """Have all parts of a gateway asked."""
    names = [service.name for service in services]
    metrics.sources += [
        lambda: build("qekm_gateway"),
        lambda: connections(gateway.admission, gateway.activity),
        lambda: frames(gateway.activity, lambda: gateway.incidents.count),
        lambda: streams(lines, names),
    ]
    metrics.disks.append(lambda: certificates(certificate))


def connections(admission: Admission, activity: Activity) -> Iterator[Family]:
    """Yield who is connected, and who is not."""
    yield one("qekm_gateway_connections", "Connections of drives and libraries.", len(admission))
    accepted = "Connections that were let in."
    yield count("qekm_gateway_connections_accepted", accepted, admission.entered)
    refused = {**admission.refused, "protocol": activity.dropped}
    rows = (((reason,), float(times)) for reason, times in refused.items())
    what = "Connections that were turned away, or ended by the gateway."
    yield counter("qekm_gateway_connections_refused", what, rows, "reason")
    what = "Connections that began as TLS and were none, or not 1.3."
    yield count("qekm_gateway_tls_failures", what, activity.tls_failures)


def frames(activity: Activity, incidents: Callable[[], int]) -> Iterator[Family]:
    """Yield what came and went, and how long an answer took."""
    for name, what, counts in (
        ("in", "Frames of drives and libraries by type.", activity.frames_in),
        ("out", "Frames to them by type.", activity.frames_out),
    ):
        yield counter(f"qekm_gateway_frames_{name}", what, _by_type(counts), "type")
    rows = (((code.name,), float(times)) for code, times in activity.refusals.items())
    yield counter("qekm_gateway_refusals", "Refusals by the gateway itself.", rows, "code")
    what = "From a frame for the service to its answer."
    yield histogram("qekm_gateway_answer_seconds", what, activity.answers)
    yield count("qekm_gateway_incidents", "Internal errors.", incidents())


def streams(lines: Lines, names: Sequence[str]) -> Iterator[Family]:
    """Yield over which stream frames go to a service, and how many wait for its answers."""
    link = lines.present
    used = link.service.name if link.up else ""
    rows = (((name,), float(name == used)) for name in names)
    yield gauge("qekm_gateway_stream_connected", "Whether a service is the one in use.", rows, "service")
    yield count("qekm_gateway_streams", "Streams to services that were opened.", lines.streams)
    yield one("qekm_gateway_steps_pending", "Frames without their answers yet.", link.pending)


def certificates(path: Path) -> Iterator[Family]:
    """Yield when the gateway's own certificate ends; from a thread. OSError, ValueError."""
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    name, what = "qekm_gateway_certificate_expiry_timestamp_seconds", "When the gateway's certificate ends."
    yield one(name, what, leaf.not_valid_after_utc.timestamp())


def _by_type(counts: Sequence[int]) -> Iterator[tuple[tuple[str], float]]:
    for number, name in _NAMES.items():
        yield (name,), counts[number]
    yield ("unknown",), sum(counts) - sum(counts[number] for number in _NAMES)
