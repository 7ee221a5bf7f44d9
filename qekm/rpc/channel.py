"""Options of every channel and server, each with the trap that it answers.

Names that grpc does not know are ignored in silence; those here were each seen to work with grpcio 1.85.
"""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from collections.abc import Sequence
from typing import Any

import grpc
from grpc import aio

MAXIMUM_MESSAGE = 4 * 1024 * 1024  # bytes; 1,000 keys are 200 KiB, a batch of 64 steps is at most 1 MiB
MAXIMUM_METADATA = 16 * 1024  # bytes; error details travel in it
# A client that has not yet seen the server's settings gets UNAVAILABLE for a stream too many, so the limit is
# no lower than this.
MAXIMUM_STREAMS = 128
# Calls at once in the whole server, open streams included.
MAXIMUM_CALLS = 256

Options = Sequence[tuple[str, Any]]
ClientInterceptor = (
    grpc.UnaryUnaryClientInterceptor
    | grpc.UnaryStreamClientInterceptor
    | grpc.StreamUnaryClientInterceptor
    | grpc.StreamStreamClientInterceptor
)

_BOTH: Options = (
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE),
    ("grpc.max_metadata_size", MAXIMUM_METADATA),
    ("grpc.absolute_max_metadata_size", 2 * MAXIMUM_METADATA),
    # A peer that is frozen, or behind a cut cable, is noticed after 10 s + 5 s. Without ping_timeout_ms the
    # first two are not enough: its default is a minute.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)

SERVER_OPTIONS: Options = (
    *_BOTH,
    # On by default: a second service on the same port would start and take half of the connections.
    ("grpc.so_reuseport", 0),
    # Else clients that ping an idle channel are sent away (ENHANCE_YOUR_CALM).
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", MAXIMUM_STREAMS),
    # Closes a connection that opens and says nothing.
    ("grpc.server_handshake_timeout_ms", 5_000),
    # No max_connection_age: the guard looks at the certificate in every call and ends the open streams of a
    # revoked one, so that a gateway's stream need not be broken on schedule.
)

CLIENT_OPTIONS: Options = (
    *_BOTH,
    # A link between our own processes never goes through a proxy that the environment names.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def make_server(interceptors: Sequence[aio.ServerInterceptor]) -> aio.Server:
    """Make an asyncio server with our limits; ports and services are added by the caller."""
    return aio.server(
        interceptors=list(interceptors), options=list(SERVER_OPTIONS), maximum_concurrent_rpcs=MAXIMUM_CALLS
    )


def open_channel(
    target: str, credentials: grpc.ChannelCredentials, interceptors: Sequence[ClientInterceptor] = ()
) -> grpc.Channel:
    """Make a blocking channel to `target` (host:port); it connects when first used."""
    channel = grpc.secure_channel(target, credentials, options=list(CLIENT_OPTIONS))
    return grpc.intercept_channel(channel, *interceptors)


def open_async_channel(
    target: str, credentials: grpc.ChannelCredentials, interceptors: Sequence[aio.ClientInterceptor] = ()
) -> aio.Channel:
    """Make an asyncio channel to `target` (host:port); it connects when first used."""
    return aio.secure_channel(
        target, credentials, options=list(CLIENT_OPTIONS), interceptors=list(interceptors)
    )
