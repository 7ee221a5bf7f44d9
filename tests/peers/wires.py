"""Faults on the wire between two hosts, each there until it is healed: as calls, or for a `with` block.

Packets are judged where they arrive, so that who sends them notices nothing: as on a real wire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType

from tests.peers.namespaces import Host, UnavailableError

_DROP = "drop"
RESET = "tcp flags & rst == 0 reject with tcp reset"  # the other end's reset itself must arrive
_numbers = count(1)


class Fault:
    """What is wrong with a wire; a context manager that heals it at the end."""

    def __init__(self, *arrivals: tuple[Host, Host], verdict: str = _DROP) -> None:
        """Give the verdict on packets of each (sender, receiver)."""
        self._table = f"fault{next(_numbers)}"
        self._receivers = list({receiver.name: receiver for _, receiver in arrivals}.values())
        for sender, receiver in arrivals:
            chain = "type filter hook input priority 0; policy accept"
            rule = f"ip saddr {sender.address} {verdict}"
            script = f"table inet {self._table} {{\nchain arriving {{\n{chain}\n{rule}\n}}\n}}\n"
            receiver.run("nft", "-f", "-", given=script)

    def heal(self) -> None:
        """End it; what was healed stays so."""
        while self._receivers:
            self._receivers.pop().run("nft", "delete", "table", "inet", self._table)

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


def cut(one: Host, other: Host) -> Fault:
    """Drop everything, both ways."""
    return Fault((one, other), (other, one))


def drop(sender: Host, receiver: Host) -> Fault:
    """Drop what the sender sends, and let pass what the receiver sends."""
    return Fault((sender, receiver))


def reset(one: Host, other: Host) -> Fault:
    """Answer each TCP segment with a reset, of connections that are there and of new ones."""
    return Fault((one, other), (other, one), verdict=RESET)


@contextmanager
def flapping(make: Callable[[], Fault], seconds: float) -> Iterator[list[float]]:
    """Have a fault come and go, so long each time; yields a list that grows by one at every change."""
    over, changes = threading.Event(), list[float]()

    def flap() -> None:
        while not over.wait(seconds):
            with make():
                changes.append(seconds)
                over.wait(seconds)
            changes.append(seconds)

    thread = threading.Thread(target=flap, daemon=True)
    thread.start()
    try:
        yield changes
    finally:
        over.set()
        thread.join()


@contextmanager
def delay(host: Host, milliseconds: int) -> Iterator[None]:
    """Have everything that a host sends take longer; UnavailableError where the kernel cannot."""
    host.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{milliseconds}ms")
    try:
        yield
    finally:
        host.run("tc", "qdisc", "delete", "dev", "eth0", "root")


def can_delay(host: Host) -> str:
    """Return why a host's packets cannot be delayed here; empty if they can."""
    try:
        with delay(host, 1):
            return ""
    except UnavailableError as error:
        return str(error)
