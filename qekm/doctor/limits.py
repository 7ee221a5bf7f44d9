"""What a machine does with memory that holds keys: swap, core files, and chance to make keys from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qekm.doctor.finding import Seen, doubtful, fine

_ENTROPY = 128  # bits; kernels since 5.18 always have 256
_UNIT = "in the unit of the service"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the machine, and of the running service (None: it does not run, or may not be looked at)."""

    swaps: tuple[str, ...]
    entropy: int | None
    memlock: str | None  # soft limits as /proc/PID/limits has them
    core: str | None


def judge(limits: Limits) -> Iterator[Seen]:
    """Yield what could put keys on a disk, or makes keys weak. Pure."""
    found = []
    if limits.swaps and limits.memlock not in (None, "unlimited"):
        told = f"memory may be swapped to {', '.join(limits.swaps)}, and the service may not lock its own"
        found.append(doubtful(told, f"LimitMEMLOCK=infinity {_UNIT}, or swapoff -a"))
    if limits.core not in (None, "0"):
        found.append(doubtful("the service may leave core files", f"LimitCORE=0 {_UNIT}"))
    if limits.entropy is not None and limits.entropy < _ENTROPY:
        told = f"the kernel has {limits.entropy} bits of entropy: making keys waits for more"
        found.append(doubtful(told, "give it a source: rngd, or virtio-rng for a virtual machine"))
    swap = "memory is locked" if limits.memlock == "unlimited" else "there is no swap"
    yield from found or [
        fine(swap if limits.memlock or not limits.swaps else "to be seen when the service runs")
    ]


def survey(pid: int) -> Limits:
    """Look at the machine, and at a process unless its pid is 0."""
    swaps = tuple(line.split()[0] for line in _read(Path("/proc/swaps")).splitlines()[1:])
    entropy = _read(Path("/proc/sys/kernel/random/entropy_avail")).strip()
    told = _read(Path(f"/proc/{pid}/limits")) if pid else ""
    soft = {line[:25].strip(): line[25:].split()[0] for line in told.splitlines()[1:] if line[25:].split()}
    number = int(entropy) if entropy.isdecimal() else None
    return Limits(swaps, number, soft.get("Max locked memory"), soft.get("Max core file size"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
