"""Properties of the traces: where they go, and how many of them."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import collector, text_or_none, whole

ENDPOINT, SAMPLE, TRUST = "tracing.endpoint", "tracing.sample", "tracing.trust"

TRACING = (
    Property(
        ENDPOINT,
        collector,
        "",
        "ours",
        "Service and gateway send traces here, http://HOST:PORT or https:// (OTLP, gRPC); empty: nowhere.",
        local=True,
    ),
    Property(
        SAMPLE, whole(0, 100), "100", "ours", "Of so many of a hundred exchanges and calls.", "%", local=True
    ),
    Property(
        TRUST,
        text_or_none,
        "",
        "ours",
        "Certificates trusted there, PEM; relative to the home; empty: gRPC's own.",
        local=True,
    ),
)
