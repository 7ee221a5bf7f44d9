"""The error table, there and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from qekm import errors
from qekm.errors import QekmError
from qekm.rpc.status import CODES, from_rpc_error, to_status


class Failed(grpc.RpcError):
    """A call that ended with a status, as a client sees it."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status.code  # type: ignore[no-any-return]

    def details(self) -> str:
        return self._status.details  # type: ignore[no-any-return]

    def trailing_metadata(self) -> Any:
        return self._status.trailing_metadata


class Bare(grpc.RpcError):
    """A status that grpc or a proxy made, without details."""

    def __init__(self, code: grpc.StatusCode, text: str = "") -> None:
        self._code, self._text = code, text

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> Any:
        return ()


def leaves() -> Iterator[type[QekmError]]:
    """Return every leaf of the tree."""
    for category in QekmError.__subclasses__():
        yield from category.__subclasses__()


def carried(error: QekmError) -> QekmError:
    """Return an error as the client gets it."""
    return from_rpc_error(Failed(rpc_status.to_status(to_status(error))), "host:1")


def test_every_category_has_a_code_and_no_two_share_one() -> None:
    assert set(CODES) == set(QekmError.__subclasses__())
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.__name__)
def test_a_leaf_arrives_as_it_left(leaf: type[QekmError]) -> None:
    sent = leaf("what is wrong: »ü«", hint="what to do", field="count", other="x")
    got = carried(sent)
    assert type(got) is leaf
    assert (got.message, got.advice, got.details) == (sent.message, sent.advice, sent.details)


def test_reasons_are_upper_snake_and_differ() -> None:
    reasons = [leaf.reason() for leaf in leaves()]
    assert len(set(reasons)) == len(reasons)
    assert all(
        reason.replace("_", "").isalpha() and reason.isupper() and len(reason) < 64 for reason in reasons
    )


def test_a_hint_of_the_leaf_travels_and_an_empty_one_stays_empty() -> None:
    assert carried(errors.UnknownKey("no such key")).advice == errors.UnknownKey.hint
    assert carried(errors.UnknownKey("no such key", hint="")).advice == ""


def test_what_travels_fits_into_metadata() -> None:
    got = carried(errors.BadArgument("x" * 100_000, hint="y" * 100_000, field="z" * 100_000))
    assert {len(got.message), len(got.advice), len(got.details["field"])} == {1_000}


def test_a_leaf_of_a_newer_service_becomes_its_category() -> None:
    status = to_status(errors.UnknownKey("no such thing"))
    info = details_pb2.ErrorInfo(reason="UNKNOWN_TAPE", domain="qekm", metadata={"message": "x", "tape": "1"})
    status.details[0].Pack(info)
    got = from_rpc_error(Failed(rpc_status.to_status(status)), "host:1")
    assert type(got) is errors.NotFoundError
    assert (got.message, got.details) == ("no such thing", {"tape": "1"})


def test_a_status_with_details_of_somebody_else_is_taken_as_bare() -> None:
    status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="no route")
    status.details.add().Pack(details_pb2.ErrorInfo(reason="UNKNOWN_KEY", domain="proxy.example"))
    got = from_rpc_error(Failed(rpc_status.to_status(status)), "host:1")
    assert type(got) is errors.NotFoundError and "no route" in got.message


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_bare_status_is_an_error_of_the_tree_that_names_the_address(code: grpc.StatusCode) -> None:
    got = from_rpc_error(Bare(code, "text"), "host:1")
    assert isinstance(got, QekmError) and "host:1" in got.message


def test_an_unreachable_service_is_named_with_what_may_be_wrong() -> None:
    for text, cause in (
        ("last error: Socket closed", "refused our certificate"),
        ("Connection refused", "nothing listens"),
        ("CERTIFICATE_VERIFY_FAILED: no issuer", "trust.pem"),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", "has ended, by this machine's clock"),
        ("CERTIFICATE_VERIFY_FAILED: certificate is not yet valid: OK", "is not valid yet"),
        ("Hostname Verification Check failed", "other hosts"),
        ("lookup failed", "lookup failed"),
    ):
        got = from_rpc_error(Bare(grpc.StatusCode.UNAVAILABLE, text), "key.example:3802")
        assert type(got) is errors.ServiceAway
        assert "key.example:3802" in got.message and cause in got.message
        assert got.advice and got.details == {"target": "key.example:3802"}


def test_details_that_contradict_the_status_are_not_believed() -> None:
    status = rpc_status.to_status(to_status(errors.UnknownKey("no such key")))

    class Lying(Failed):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.INTERNAL

    assert type(from_rpc_error(Lying(status), "host:1")) is errors.FaultError


def test_a_damaged_detail_is_not_believed() -> None:
    status = to_status(errors.UnknownKey("no such key"))
    status.details[0].value = b"\xff\xff"
    got = from_rpc_error(Failed(rpc_status.to_status(status)), "host:1")
    assert isinstance(got, errors.NotFoundError)
