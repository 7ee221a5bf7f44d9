"""What the store's fault tests compare: what a worker was promised, and what is there afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from qekm.store import Store
from tests.qekm.store.material import unlock, verify

ROOT = Path(__file__).parents[2]


class Worker:
    """A worker in a process of its own; its promises go to a file, for a pipe would make it wait for us."""

    def __init__(self, store: Path, build: str, directory: Path, *under: str) -> None:
        """Start it; `under`: a command that runs it."""
        self._told = directory / "promises"
        command = [*under, sys.executable, "-m", "tests.faults.store_worker", str(store), build]
        with self._told.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for_promises(self) -> None:
        """Wait until there is at least one."""
        deadline = time.monotonic() + 60
        while not self.promises():
            assert self.process.poll() is None and time.monotonic() < deadline, self.errors()
            time.sleep(0.005)

    def errors(self) -> str:
        """Wait for its end and return what it complained of."""
        return self.process.communicate(timeout=60)[1].decode()

    def promises(self) -> list[str]:
        """Return the names of the units that it was promised so far; the last line may be cut off."""
        return self._told.read_bytes().decode().split("\n")[:-1]


def run_worker(
    path: Path, build: str, seconds: float, directory: Path, end: Callable[[], None] | None = None
) -> list[str]:
    """Run a worker for a while after its first promise, end it, and return the names it was promised.

    end: what happens to the machine before the worker is killed; nothing by default.
    """
    with Worker(path, build, directory) as worker:
        worker.wait_for_promises()
        time.sleep(seconds)
        if end:
            end()
    return worker.promises()


def lost(path: Path, promised: list[str]) -> list[str]:
    """Return what was promised and is not in the trail, the uses and the keys; the trail must verify."""
    store = Store.open(path, unlock)
    links = list(store.iterate_audit())
    uses = {use.volser for _, use in store.cartridges_page(0, 10**9)}
    volsers = {key.volser for key in store.load().keys}
    store.close()
    verify(links)
    names = [item.record.message for item in links]
    assert set(names) == uses, "a unit is there in part"
    assert set(_last_of_each_key(names)) == volsers - {""}
    return sorted(set(promised) - uses)


def _last_of_each_key(names: list[str]) -> list[str]:
    """Return the last unit of every key: a caller's numbers modulo 100 are its keys."""
    last: dict[tuple[str, int], str] = {}
    for name in names:
        _, caller, number = name.split(".")
        last[caller, int(number) % 100] = name
    return list(last.values())
