"""Secrets that a test knows, looked for in everything that a run leaves behind: as they are, hex, base64."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SHORTEST = 6  # characters of base64 that are still no accident; a secret has at least 8 bytes
_WORDS = 4  # of a share in a row


@dataclass(frozen=True, slots=True)
class Hit:
    """Which secret lies where, and how it is written there. Its text never shows the secret."""

    secret: str
    form: str
    place: str


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what a secret looks like wherever somebody writes it down, with the name of that."""
    yield "as it is", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for offset in range(3):
        # Whatever stands around it: the characters that it makes alone.
        encoded = base64.b64encode(bytes(offset) + secret)
        whole = encoded[(8 * offset + 5) // 6 : (8 * (offset + len(secret))) // 6]
        if len(whole) >= _SHORTEST:
            yield f"base64 at {offset}", whole
            yield f"base64url at {offset}", whole.translate(bytes.maketrans(b"+/", b"-_"))


def parts_of(share: str) -> Iterator[bytes]:
    """Yield every few words in a row of a recovery share: one of these tells too much."""
    words = share.split()
    for start in range(len(words) - _WORDS + 1):
        yield " ".join(words[start : start + _WORDS]).encode()


class Canaries:
    """What must be found nowhere, by name."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        """Take the secrets; one of fewer than 8 bytes would be found everywhere."""
        assert all(len(secret) >= 8 for secret in secrets.values())
        self._names = {
            needle: (name, form) for name, secret in secrets.items() for form, needle in forms(secret)
        }

    def __len__(self) -> int:
        return len({name for name, _ in self._names.values()})

    def search(self, content: bytes, place: str) -> Iterator[Hit]:
        """Yield what is in some bytes."""
        for needle, (name, form) in self._names.items():
            if needle in content:
                yield Hit(name, form, place)

    def search_files(self, folder: Path, legitimate: Iterable[Path] = ()) -> Iterator[Hit]:
        """Yield what is in the files under a folder, but in those where somebody asked for it to be."""
        left_out = {*legitimate}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in left_out:
                yield from self.search(path.read_bytes(), str(path.relative_to(folder)))


@dataclass
class Watch:
    """Looks at every process of the machine again and again: command lines, environments where it may."""

    every_s: float = 0.01
    seen: dict[bytes, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.every_s):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        self.seen.setdefault((process / name).read_bytes(), f"{name} of a process")
                    except OSError:  # it has ended, or is another user's
                        continue

    def hits(self, canaries: Canaries) -> list[Hit]:
        """Return what was seen so far."""
        return [hit for content, place in [*self.seen.items()] for hit in canaries.search(content, place)]
