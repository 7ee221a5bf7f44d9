"""A holder for key bytes that will not show them by accident."""

from __future__ import annotations


class Secret:
    """Bytes that are wiped on request and never printed, pickled or compared by value.

    Python cannot promise that no copy remains (docs: SECURITY.md); the window is kept short instead.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self._value = bytearray(value)

    def reveal(self) -> bytes:
        """Return a copy of the bytes, for the call that needs them."""
        return bytes(self._value)

    def wipe(self) -> None:
        """Overwrite the bytes with zeros."""
        self._value[:] = bytes(len(self._value))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")

    def __enter__(self) -> Secret:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()
