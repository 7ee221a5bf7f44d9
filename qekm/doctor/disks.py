"""Whether what has to be written can be: space, inodes, read-only file systems."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm.doctor.finding import Seen, broken, doubtful, fine

LEAST, LITTLE = 32 << 20, 512 << 20  # bytes: a service stops soon; a service should be seen to
FEWEST, FEW = 64, 1_024  # inodes, likewise


@dataclass(frozen=True, slots=True)
class Volume:
    """The file system under a directory. inodes: -1 where it does not count them."""

    names: str  # what of ours is on it
    path: Path
    free: int  # bytes that we may use
    inodes: int
    read_only: bool
    writable: bool


def judge(volumes: Iterable[Volume], user: str) -> Iterator[Seen]:
    """Yield what cannot be written, or not for long. Pure."""
    for volume in volumes:
        where = f"{volume.path} ({volume.names})"
        if volume.read_only:
            told = f"{where} is on a file system that is mounted read-only"
            yield broken(told, f"see dmesg for why, then: mount -o remount,rw {volume.path}")
        elif not volume.writable:
            yield broken(f"the user {user} may not write {where}", f"ls -ld {volume.path}; chown or chmod it")
        elif volume.free < LEAST:
            yield broken(f"{where} is full: {_mebibytes(volume.free)} are left", _emptied(volume))
        elif 0 <= volume.inodes < FEWEST:
            told = f"{where} has no inodes left for new files: {volume.inodes}"
            yield broken(told, f"find what has so many files: du --inodes -x {volume.path}")
        elif volume.free < LITTLE or 0 <= volume.inodes < FEW:
            yield doubtful(
                f"{where} has {_mebibytes(volume.free)} left, {volume.inodes} inodes", _emptied(volume)
            )
        else:
            yield fine(f"{where} has {_mebibytes(volume.free)} left")


def survey(places: Mapping[str, Path]) -> Iterator[Volume]:
    """Yield the file systems under directories, each once; a directory that is missing is left out."""
    found: dict[int, tuple[list[str], Path]] = {}
    for name, path in places.items():
        try:
            device = path.stat().st_dev
        except OSError:
            continue
        found.setdefault(device, ([], path))[0].append(name)
    for names, path in found.values():
        told = os.statvfs(path)
        read_only = bool(told.f_flag & os.ST_RDONLY)
        inodes = told.f_favail if told.f_files else -1
        writable = os.access(path, os.W_OK | os.X_OK, effective_ids=True)
        yield Volume(", ".join(names), path, told.f_bavail * told.f_frsize, inodes, read_only, writable)


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def _emptied(volume: Volume) -> str:
    return f"make room on it: du -x {volume.path} | sort -n | tail"
