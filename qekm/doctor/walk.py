"""Walk steps in order: each within its deadline, none after one that it needs and that is broken."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from qekm.doctor.finding import Finding, Seen, Verdict, broken, unseen
from qekm.doctor.steps import Step
from qekm.errors import QekmError

Found = TypeVar("Found")
Look = Callable[[], Iterable[Seen]]
"""Takes facts and decides; what it raises is broken."""


def walk(
    steps: Iterable[Step], looks: Mapping[str, Look], before: Iterable[Finding] = ()
) -> Iterator[Finding]:
    """Yield how each step ended; `before` are those that others have done.

    A step without a look is left out. One that hangs is left behind in its thread.
    """
    closed = {each.step: each.title for each in before if each.verdict is Verdict.BROKEN}
    for step in steps:
        look = looks.get(step.name)
        if look is None:
            continue
        cause = next((closed[name] for name in step.needs if name in closed), "")
        seen = [unseen(f"because of {cause}")] if cause else within(step.deadline_s, look)
        found = Finding.of(step, seen)
        if cause or found.verdict is Verdict.BROKEN:
            closed[step.name] = cause or step.title
        yield found


def within(seconds: float, look: Look) -> list[Seen]:
    """Return what a look sees, or that it saw nothing in time."""
    found = timely(seconds, lambda: _caught(look))
    if found is not None:
        return found
    what = f"this could not be found out within {seconds:.0f} s: a disk or a network does not answer"
    return [broken(what, "look at the machine itself: dmesg, mount, ip address")]


def timely(seconds: float, act: Callable[[], Found]) -> Found | None:
    """Return what an act returns, None if it does not in time: it is left behind in its thread."""
    box: queue.SimpleQueue[Found] = queue.SimpleQueue()
    threading.Thread(target=lambda: box.put(act()), daemon=True).start()
    try:
        return box.get(timeout=seconds)
    except queue.Empty:
        return None


def _caught(look: Look) -> list[Seen]:
    try:
        return list(look())
    except QekmError as error:
        return [broken(error.message, error.advice)]
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return [broken(f"{name}{error.strerror or error}")]
    except Exception as error:
        return [broken(f"unforeseen {type(error).__name__} in the doctor itself: {error}")]
