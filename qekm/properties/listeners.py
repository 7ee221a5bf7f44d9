"""Properties of what listens: for drives, for administration, for probes."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import LOCAL, choice, flag, host, hosts, services, whole

TCP_PORT, TCP_HOST = "TransportListener.tcp.port", "TransportListener.tcp.host"
TCP_DRAIN = "TransportListener.tcp.drainMinutes"
SSL_PORT, SSL_HOST = "TransportListener.ssl.port", "TransportListener.ssl.host"
SSL_GATEWAYS, GATEWAY_SERVICES = "TransportListener.ssl.gateways", "gateway.services"
GRPC_PORT, HEALTH_PORT, METRICS_PORT = "grpc.port", "health.port", "metrics.port"
GATEWAY_METRICS_PORT = "gateway.metrics.port"
PORTS = (
    TCP_PORT,
    SSL_PORT,
    GRPC_PORT,
    HEALTH_PORT,
    METRICS_PORT,
    GATEWAY_METRICS_PORT,
)  # no two of them may be the same; 0 is any free one

_PORT = whole(0, 65_535)
_SECONDS = whole(1, 86_400)

LISTENERS = (
    Property(
        TCP_PORT,
        _PORT,
        "3801",
        "original",
        "Drives connect here; 0: any free port.",
        dynamic=True,
    ),
    Property(
        TCP_HOST,
        hosts,
        "::",
        "ours",
        "Addresses on which drives are awaited.",
        dynamic=True,
    ),
    Property(
        TCP_DRAIN,
        whole(0, 1_440),
        "10",
        "ours",
        "How long drives are still answered on the port before, when it was changed.",
        "min",
        dynamic=True,
    ),
    Property(
        SSL_PORT,
        _PORT,
        "443",
        "original",
        "Peers and remote administration connect here; 0: any free port.",
        dynamic=True,
    ),
    Property(SSL_HOST, host, "::", "ours", "Address of that port.", dynamic=True),
    Property(
        SSL_GATEWAYS,
        choice("on", "off"),
        "off",
        "ours",
        "Whether gateways of other machines may bring drives over that port.",
        local=True,
    ),
    Property(
        "admin.sessionMinutes",
        whole(1, 1_440),
        "15",
        "ours",
        "How long a login with the command password lasts.",
        "min",
        dynamic=True,
        shared=True,
    ),
    Property(
        GATEWAY_SERVICES,
        services,
        LOCAL,
        "ours",
        "Services of the gateway, the preferred one first: local, or HOST:PORT (an SSL port), with commas.",
        local=True,
    ),
    Property(
        "dkp.tls",
        choice("optional", "required"),
        "optional",
        "ours",
        "Whether drives must use TLS.",
        local=True,
    ),
    Property(
        "dkp.connectionsPerAddress",
        whole(1, 10_000),
        "64",
        "ours",
        "Connections of one address.",
        dynamic=True,
        shared=True,
    ),
    Property(
        "dkp.frameTimeout",
        _SECONDS,
        "30",
        "ours",
        "From a frame's first byte to its last.",
        "s",
        dynamic=True,
        shared=True,
    ),
    Property(
        "dkp.stepTimeout",
        _SECONDS,
        "30",
        "ours",
        "From our last byte to the next frame.",
        "s",
        dynamic=True,
        shared=True,
    ),
    Property(
        "dkp.sessionTimeout",
        _SECONDS,
        "120",
        "ours",
        "Longest session of a drive.",
        "s",
        dynamic=True,
        shared=True,
    ),
    Property(
        "dkp.idleTimeout",
        _SECONDS,
        "300",
        "ours",
        "Longest silence between two sessions.",
        "s",
        dynamic=True,
        shared=True,
    ),
    Property(
        GRPC_PORT,
        _PORT,
        "3802",
        "ours",
        "Gateway and local administration connect here; 0: any free port.",
        local=True,
    ),
    Property("grpc.host", host, "127.0.0.1", "ours", "Address of that port.", local=True),
    Property("grpc.reflection", flag, "false", "ours", "Whether gRPC reflection is served.", local=True),
    Property(
        HEALTH_PORT, _PORT, "0", "ours", "grpc.health.v1 is served here, loopback only; 0: any free port."
    ),
    Property(
        METRICS_PORT,
        _PORT,
        "9464",
        "ours",
        "Metrics for Prometheus are served here, loopback only; 0: nowhere.",
    ),
    Property(
        GATEWAY_METRICS_PORT,
        _PORT,
        "9465",
        "ours",
        "The gateway's metrics for Prometheus are served here, loopback only; 0: nowhere.",
    ),
)
