"""Our error tree as gRPC status and back. Every error carries exactly one google.rpc.ErrorInfo."""

from __future__ import annotations

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from qekm import errors
from qekm.errors import QekmError

Detail = TypeVar("Detail", bound=Message)

DOMAIN = "qekm"
_CHECK = "see whether it runs with: qekm server status"
# What a client finds in the text of UNAVAILABLE; a server's TLS never says why it refuses.
_CAUSES = (
    ("Connection refused", "nothing listens there", _CHECK),
    (
        "certificate has expired",
        "its certificate has ended, by this machine's clock",
        "compare the clocks; if it has ended, stop the service, run qekm-server renew and start it again",
    ),
    (
        "certificate is not yet valid",
        "its certificate is not valid yet, by this machine's clock",
        "compare the clocks",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is from an authority that trust.pem does not have",
        "compare the address, or fetch the authorities in force with: qekm certificates trust",
    ),
    (
        "Hostname Verification",
        "its certificate names other hosts",
        "use a name or address that was given to: qekm init --host",
    ),
    (
        "Socket closed",
        "it closed the connection, because it went down or refused our certificate",
        "see whether it runs with: qekm server status; a certificate is refused when its authority is not "
        "trusted or when it is not valid by the service's clock: compare the clocks; if it has ended, stop "
        "the service, run qekm-server renew and start it again",
    ),
)
_LONGEST = 1_000  # characters of a message; the details travel in metadata, which is bounded

# Total over the categories of qekm/errors (tests/qekm/rpc/test_status.py).
CODES: Mapping[type[QekmError], grpc.StatusCode] = MappingProxyType(
    {
        errors.InvalidError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
        errors.ExistsError: grpc.StatusCode.ALREADY_EXISTS,
        errors.StateError: grpc.StatusCode.FAILED_PRECONDITION,
        errors.DeniedError: grpc.StatusCode.PERMISSION_DENIED,
        errors.IdentityError: grpc.StatusCode.UNAUTHENTICATED,
        errors.ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
        errors.FaultError: grpc.StatusCode.INTERNAL,
    }
)

# What a status without our details means to a client: a library or a proxy made it.
_CATEGORIES: Mapping[grpc.StatusCode, type[QekmError]] = MappingProxyType(
    {code: category for category, code in CODES.items()}
    | {
        grpc.StatusCode.OUT_OF_RANGE: errors.InvalidError,
        grpc.StatusCode.UNIMPLEMENTED: errors.StateError,
        grpc.StatusCode.ABORTED: errors.UnavailableError,
        grpc.StatusCode.CANCELLED: errors.UnavailableError,
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.UnavailableError,
    }
)


def to_status(error: QekmError) -> status_pb2.Status:
    """Return the google.rpc.Status of an error: code, message, ErrorInfo, and what else helps a client."""
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    status = status_pb2.Status(code=code.value[0], message=error.message[:_LONGEST])
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def _details(error: QekmError) -> Iterator[Message]:
    metadata = {name: value[:_LONGEST] for name, value in error.details.items()}
    yield details_pb2.ErrorInfo(reason=error.reason(), domain=DOMAIN, metadata=metadata)
    if error.advice:
        yield details_pb2.LocalizedMessage(locale="en", message=error.advice[:_LONGEST])
    if isinstance(error, errors.InvalidError) and "field" in error.details:
        violation = details_pb2.BadRequest.FieldViolation(
            field=error.details["field"][:_LONGEST], description=error.message[:_LONGEST]
        )
        yield details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, errors.UnavailableError):
        retry = details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(1)
        yield retry


def from_rpc_error(error: grpc.RpcError, target: str) -> QekmError:
    """Return the leaf that the service raised; without our details, what the bare status means.

    target: host:port of the service, named in what the user reads.
    """
    status = _status_of(error)
    info = _unpack(status, details_pb2.ErrorInfo())
    if status is None or info.domain != DOMAIN:
        return _bare(error, target)
    # A newer service may know leaves that we do not; its category is known from the code.
    kind = _leaves().get(info.reason) or _CATEGORIES.get(error.code(), errors.FaultError)
    advice = _unpack(status, details_pb2.LocalizedMessage()).message
    details = {
        name: value for name, value in info.metadata.items() if name not in ("message", "hint", "self")
    }
    return kind(status.message, hint=advice, **details)


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """Return the details of a status, None if there are none, they contradict it or cannot be read."""
    try:
        return rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, AttributeError, DecodeError):
        return None


def _unpack(status: status_pb2.Status | None, empty: Detail) -> Detail:
    """Return the first detail of a kind, empty if there is none that can be read."""
    for detail in status.details if status else ():
        with contextlib.suppress(DecodeError):
            if detail.Unpack(empty):
                break
    return empty


def _leaves() -> Mapping[str, type[QekmError]]:
    return {
        leaf.reason(): leaf for category in QekmError.__subclasses__() for leaf in category.__subclasses__()
    }


def _bare(error: grpc.RpcError, target: str) -> QekmError:
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        cause, hint = next((told for sign, *told in _CAUSES if sign in text), (text, _CHECK))
        return errors.ServiceAway(
            f"the service at {target} does not answer: {cause}", hint=hint, target=target
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.ServiceAway(f"the service at {target} did not answer in time", target=target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.StateError(
            f"the service at {target} does not know this call; it is older than this client"
        )
    kind = _CATEGORIES.get(code, errors.FaultError)
    return kind(f"{text or 'no reason told'} ({code.name}, from {target})")
