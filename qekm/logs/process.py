"""What a process tells of itself from its start to its end: its log, its outlets, its native lines."""

from __future__ import annotations

import logging
from types import TracebackType

from qekm import __version__, log
from qekm.errors import QekmError
from qekm.home import Home
from qekm.logs.native import Native
from qekm.logs.outlets import Outlets, Settings, open_outlets

_log = logging.getLogger(__name__)


class ProcessLog:
    """A context: what ends it by an error is told of, whatever it is.

    outlets: where the log goes besides standard error, once `configure` was called.
    """

    def __init__(self, home: Home, process: str, title: str, level: str = "info") -> None:
        """Log to standard error at once: reading the settings may have something to say."""
        self.outlets = Outlets()
        self._path, self._process = home.path, process
        self._title, self._started = title, False
        self._native = Native(home, title, __version__)
        log.configure(process, level)

    def configure(self, settings: Settings, level: str | None = None) -> None:
        """Log as the settings say, from `level` on if one is given."""
        self.outlets = open_outlets(self._process, level or settings["log.level"], settings, self._path)

    def started(self, ports: dict[str, int]) -> None:
        """Tell that the process does its work now, on these ports."""
        self._started = True
        self._native.started(ports)

    def __enter__(self) -> ProcessLog:
        self._native.starting()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, KeyboardInterrupt):
            self._native.stopped()
        else:
            self._native.failed(error, self._started)
            self._tell_of(error)
        self.outlets.end()

    def _tell_of(self, error: BaseException) -> None:
        """Log what ended the process; an error of ours only where the program's own words do not get to."""
        if isinstance(error, QekmError):
            words = f"the {self._title} ended: {error.message}"
            self.outlets.handle(_log.makeRecord(__name__, logging.CRITICAL, __file__, 0, words, (), None))
        else:
            _log.critical("the %s ended", self._title, exc_info=error)
