"""Progress of long work for whoever watches: a bar on a terminal, one line elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

_WIDTH = 40
_EVERY_S = 0.05


class Progress:
    """Counts up to a total and shows it on a stream."""

    def __init__(self, title: str, total: int, stream: TextIO) -> None:
        self._title, self._total, self._stream = title, total, stream
        self._done = 0
        self._shown_s = 0.0
        self._live = stream.isatty() and total > 0

    def advance(self, count: int) -> None:
        """Count some more as done."""
        self._done += count
        ended = self._done >= self._total
        if self._live and (ended or time.monotonic() - self._shown_s > _EVERY_S):
            self._shown_s = time.monotonic()
            self._stream.write(f"\r{self._line()}" + ("\n" if ended else ""))
            self._stream.flush()
        elif ended and not self._live:
            self._stream.write(f"{self._title}: {self._done:,} of {self._total:,}\n")

    def _line(self) -> str:
        share = self._done / self._total
        full = int(share * _WIDTH)
        return (
            f"{self._title} [{'#' * full}{'-' * (_WIDTH - full)}] {share:4.0%} {self._done:,}/{self._total:,}"
        )


class Steps:
    """Shows the progress of one step after the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._step, self._done = stream, "", 0
        self._progress: Progress | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Tell that so much of a step is done."""
        if step != self._step or self._progress is None:
            self._step, self._done, self._progress = step, 0, Progress(step, total, self._stream)
        self._progress.advance(done - self._done)
        self._done = done
