"""Pages of lists: how long a page is and where the next one starts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from qekm.errors import BadPageToken

DEFAULT_SIZE = 100
MAX_SIZE = 1_000
_CHECK = 8  # bytes of SHA-256: tells a token of another list from ours; it keeps nothing secret
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)  # fits 64 bits, as the store's numbers do
T = TypeVar("T")


class Request(Protocol):
    """A request with page_size and page_token, as AIP-158 names them."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Paged:
    """What a request asks for: at most `size` rows after the one named `text` (empty: from the start)."""

    request: Request
    size: int
    text: str

    @classmethod
    def of(cls, request: Request) -> Paged:
        """Read a request; 0 asks for the default size, too many for the maximum. BadPageToken."""
        return cls(request, min(request.page_size or DEFAULT_SIZE, MAX_SIZE), _cursor_of(request))

    @property
    def number(self) -> int:
        """Return the cursor of a list that is in order of a number; 0 from the start. BadPageToken."""
        if self.text and not _NUMBER.fullmatch(self.text):
            raise _not_ours()
        return int(self.text or "0")


def cut(page: Paged, rows: Sequence[T], name: Callable[[T], object]) -> tuple[Sequence[T], str]:
    """Return a page's rows and the token of the next page, empty after the last.

    rows: those asked for and, if there is one, the row after them. name: what a row is found by.
    """
    if len(rows) <= page.size:
        return rows, ""
    return rows[: page.size], _token_of(page.request, str(name(rows[page.size - 1])))


def _token_of(request: Request, cursor: str) -> str:
    """Return the opaque token of the page after `cursor`; it fits this request's filters and no others."""
    raw = cursor.encode()
    return base64.urlsafe_b64encode(_check(request, raw) + raw).decode().rstrip("=")


def _cursor_of(request: Request) -> str:
    token = request.page_token
    if not token:
        return ""
    try:
        raw = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    check, cursor = raw[:_CHECK], raw[_CHECK:]
    if not cursor or check != _check(request, cursor):
        raise _not_ours()
    try:
        return cursor.decode()
    except UnicodeDecodeError:
        raise _not_ours() from None


def _not_ours() -> BadPageToken:
    return BadPageToken("the page token is not one of this list", field="page_token")


def _check(request: Request, cursor: bytes) -> bytes:
    """Return the first bytes of a hash over the kind of list, its filters and the cursor."""
    assert isinstance(request, Message)
    filters = type(request)()
    filters.CopyFrom(request)
    for field in ("page_size", "page_token"):
        filters.ClearField(field)
    kind = request.DESCRIPTOR.full_name.encode()
    text = filters.SerializeToString(deterministic=True)
    return hashlib.sha256(b"\0".join((b"QEKM PAGE 1", kind, text, cursor))).digest()[:_CHECK]
