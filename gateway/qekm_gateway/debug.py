"""Tell the service what only the gateway sees, while the debug log is written: connects, TLS, refusals, ends.

Frames are not told: the service has them. Of what is no frame a few bytes are told, enough to know a browser
or a scanner by: who sends a key where nobody asks for one shall not find it in a log.
"""

from __future__ import annotations

from collections.abc import Callable

from qekm.dkp.frame import MessageType, fault_of, parse

_FIRST = 8  # bytes shown of what is no frame


class Debug:
    """Off, a note costs a look at a flag; what is told is put into words only when it is on."""

    __slots__ = ("on", "tell")

    def __init__(self) -> None:
        self.on = False
        self.tell: Callable[[str, str], None] = lambda _source, _text: None

    def note(self, source: str, text: str, *arguments: object) -> None:
        """Tell one line about a client (host:port), put together as `logging` does."""
        if self.on:
            self.tell(source, text % arguments if arguments else text)


class Own:
    """An answer that the gateway gave by itself, in words."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __str__(self) -> str:
        frame = parse(self._raw)
        if frame.type != MessageType.ERROR:
            return MessageType(frame.type).name
        fault = fault_of(frame)
        return f"ERROR {fault.code.name} {fault.text}".rstrip()


class Beginning:
    """The first bytes of what is no frame, in words."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return f"{len(self._data)} bytes, {self._data[:_FIRST].hex(' ')} …"
