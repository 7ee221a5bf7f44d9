"""The service and the gateway of a home as processes: running, gone, frozen, of which version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qekm import __version__
from qekm.doctor.finding import Seen, broken, doubtful, fine, unseen
from qekm.doctor.versions import differs, stale
from qekm.home import Home

TITLES = {"server": "service", "gateway": "gateway"}
_STOPPED = frozenset("Tt")  # proc(5): by a signal, by a debugger


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two: what it announced, and how its process is.

    pid: 0 if it does not run. left: whether its announcement is there though it does not run. state: the
    letter of proc(5), empty if nobody can tell.
    """

    name: str
    pid: int
    version: str
    state: str
    left: bool

    @property
    def title(self) -> str:
        """Return what people call it."""
        return TITLES[self.name]


def survey(home: Home, names: Iterable[str]) -> list[Part]:
    """Look at the parts of a home."""
    found = []
    for name in names:
        told = home.running(name)
        left = told is None and home.run_file(name).exists()
        version, pid = (told.version, told.pid) if told else ("", 0)
        found.append(Part(name, pid, version, _state(pid), left))
    return found


def judge(parts: Iterable[Part], own: str = __version__) -> Iterator[Seen]:
    """Yield what is wrong with the parts of a home. Pure."""
    parts = list(parts)
    for part in parts:
        yield from _judge(part, own)
    running = {part.name for part in parts if part.pid}
    if running == {"server"} and len(parts) > 1 and not any(part.left for part in parts):
        yield broken("the gateway does not run: no drive is served", "start it: qekm server start")
    if not running:
        yield unseen("nothing runs here", "start it: qekm server start")


def _judge(part: Part, own: str) -> Iterator[Seen]:
    journal = f"journalctl -u qekm-{part.name} -n 20"
    log = f"see the end of keymanager/native_stderr.log (under systemd: {journal}), then: qekm server start"
    if part.left:
        yield broken(f"the {part.title} has gone without a word: it was killed, or it crashed", log)
    elif part.pid and part.state in _STOPPED:
        told = f"the {part.title} (pid {part.pid}) is frozen: a signal or a debugger has stopped it"
        yield broken(told, f"kill -CONT {part.pid}")
    elif part.pid and differs(part.version, own):
        what = f"the {part.title} (pid {part.pid}) is of version {part.version}, this program is of {own}"
        again = "qekm server stop, then qekm server start"
        yield (broken if stale(part.version, own) else doubtful)(what, again)
    elif part.pid:
        yield fine(f"{part.title} {part.version} runs, pid {part.pid}")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if pid else ""
    except (OSError, IndexError):
        return ""
