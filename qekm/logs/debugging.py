"""The debug log: what passes between drives and the key manager, while somebody wants to see it.

Off, nothing of this is called: the service's stream asks Serving itself (see Tap).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from qekm.clock import now_us
from qekm.dkp.frame import Frame
from qekm.logs.courier import REST_S, Courier
from qekm.logs.escaping import escape
from qekm.logs.frames import frame_line
from qekm.logs.rolling import RollingFile
from qekm.logs.stamp import stamp
from qekm.model import AuditRecord
from qekm.serving import Decision

SHARE, PREDECESSORS = 10_000_000, 4  # five files of 10 MB
MOST = 2_048  # turns that wait, each of a few kB
FRAMES, DECISIONS = "transport", "logic"
"""Classes of the property `debug` that lines belong to here; what the others told is told by other logs."""

Decide = Callable[[Frame, str, str], Decision]


class Decides(Protocol):
    """What answers frames (qekm.serving.Serving)."""

    def decide(self, frame: Frame, source: str, gateway: str, /) -> Decision:
        """Answer a client's frame."""


class Seen(NamedTuple):
    """One turn of a drive: its frame and the answer, or the kind of what went wrong; or a gateway's line."""

    time_us: int
    gateway: str
    source: str
    frame: Frame | None
    made: Decision | str


Wanted = tuple[Seen, frozenset[str]]
"""A turn, and the classes of lines that were wanted of it then."""


class Tap:
    """What a stream asks for decisions: `decide` is Serving's own, until somebody looks on."""

    __slots__ = ("_serving", "decide")

    def __init__(self, serving: Decides) -> None:
        self._serving = serving
        self.decide: Decide = serving.decide

    def look(self, seen: Callable[[Frame, str, str, Decision | str], None]) -> None:
        """Have every turn from now on shown to `seen`, which must not block."""
        decide = self._serving.decide

        def looked_at(frame: Frame, source: str, gateway: str) -> Decision:
            try:
                made = decide(frame, source, gateway)
            except Exception as error:
                seen(frame, source, gateway, type(error).__name__)
                raise
            seen(frame, source, gateway, made)
            return made

        self.decide = looked_at

    def leave(self) -> None:
        """Look on no more."""
        self.decide = self._serving.decide


class DebugFile:
    """What a courier hands turns to; OSError while the file cannot be written.

    resting: nothing is to come; the file is not kept open, so that whoever deletes it has its room.
    """

    def __init__(self, path: Path) -> None:
        self._file = RollingFile(path, SHARE, PREDECESSORS)
        self.resting = False

    def take(self, items: Sequence[Wanted]) -> None:
        """Write turns, each on a few lines."""
        lines: list[bytes] = []
        for seen, classes in items:
            lines += [line.encode() for line in lines_of(seen, classes)]
            time.sleep(REST_S)  # a turn takes about as long
        self._write(lines)

    def missed(self, count: int) -> None:
        """Tell in the file how many it has not."""
        self._write([_line(now_us(), DECISIONS, "-", "-", f"{count} turns are missing here").encode()])

    def _write(self, lines: list[bytes]) -> None:
        self._file.write(lines)
        if self.resting:
            self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Debugging:
    """The debug log, on or off; to be used from the event loop's thread.

    One courier from the first `begin` to `close`: two that write one file would cut each other's lines.
    """

    def __init__(self, path: Path, tap: Tap, describe: Callable[[str], str]) -> None:
        """`describe` tells of a gateway, by the name that its stream has, what it is and where."""
        self.tap, self._describe = tap, describe
        self._file = DebugFile(path)
        self._courier: Courier[Wanted] = Courier(f"debug log {path}", self._file, most=MOST)
        self._started = False
        self._classes: frozenset[str] = frozenset()  # none: it is off
        self._known: set[str] = set()  # gateways that were described already

    @property
    def on(self) -> bool:
        """Tell whether it is written."""
        return bool(self._classes)

    @property
    def trouble(self) -> str:
        """Return why it cannot be written, empty if it can or is off."""
        return self._courier.trouble if self.on else ""

    def begin(self, classes: frozenset[str]) -> None:
        """Write turns of these classes from now on."""
        if not self._started:
            self._started = True
            self._courier.start()
        self._classes, self._file.resting = classes, False
        self._known.clear()
        self._give("-", "-", None, f"debug is on: {', '.join(sorted(classes))}")
        self.tap.look(lambda frame, source, gateway, made: self._give(gateway, source, frame, made))

    def note(self, gateway: str, source: str, text: str) -> None:
        """Write a line that a gateway tells of a connection; nothing if the log is off."""
        self._give(gateway, source, None, text)

    def _give(self, gateway: str, source: str, frame: Frame | None, made: Decision | str) -> None:
        if not self.on:
            return
        if gateway not in self._known and gateway != "-":
            self._known.add(gateway)
            described = Seen(now_us(), gateway, "-", None, self._describe(gateway))
            self._courier.give((described, self._classes))
        self._courier.give((Seen(now_us(), gateway, source, frame, made), self._classes))

    def end(self) -> None:
        """See no more; what waits is written all the same."""
        self.tap.leave()
        self._file.resting = True
        self._give("-", "-", None, "debug is off")
        self._classes = frozenset()

    def close(self, patience_s: float) -> None:
        """See no more for good; wait at most so long for what waits."""
        self.end()
        self._courier.close(patience_s)


def lines_of(seen: Seen, classes: frozenset[str]) -> Iterator[str]:
    """Yield the lines of a turn that belong to these classes, each with its end."""
    place = seen.gateway, seen.source
    if seen.frame is None:
        if FRAMES in classes:
            yield _line(seen.time_us, FRAMES, *place, escape(str(seen.made)))
        return
    made = seen.made
    if FRAMES in classes:
        yield _line(seen.time_us, FRAMES, *place, f"> {frame_line(seen.frame)}")
    if isinstance(made, str):
        if DECISIONS in classes:
            yield _line(seen.time_us, DECISIONS, *place, f"nothing was decided: {made}")
        return
    if DECISIONS in classes:
        yield _line(seen.time_us, DECISIONS, *place, _decision(made))
    if FRAMES in classes and isinstance(made.reply, Frame):
        yield _line(seen.time_us, FRAMES, *place, f"< {frame_line(made.reply)}")


def _decision(made: Decision) -> str:
    """Return what was decided: the answer and what goes into the trail with it; of other changes the kind."""
    given = made.reply
    chosen = f"{given.type:02X}" if isinstance(given, Frame) else f"{given.code.name} {given.text}".rstrip()
    told = [
        f"{change.event}/{change.outcome.name.lower()} {change.alias} {change.code}".rstrip()
        if isinstance(change, AuditRecord)
        else type(change).__name__
        for change in made.changes
    ]
    return f"session={made.session_id:016X} answer={escape(chosen)} changes=[{', '.join(told)}]"


def _line(time_us: int, category: str, gateway: str, source: str, text: str) -> str:
    return f"{stamp(time_us)} {category} {escape(gateway)} {escape(source)} {text}\n"
