"""Count what this gateway does since its start: plain numbers, for a frame costs a tenth of a microsecond."""

from __future__ import annotations

from qekm.distribution import SECONDS, Distribution
from qekm.dkp.codes import Code


class Activity:
    """Read when somebody asks for metrics; counts only go up.

    frames_in, frames_out: by message type, of any byte. refusals: of this gateway itself. dropped:
    connections that it ended for what came over them. tls_failures: of what began as TLS.
    """

    __slots__ = ("answers", "dropped", "frames_in", "frames_out", "refusals", "tls_failures")

    def __init__(self) -> None:
        self.frames_in, self.frames_out = [0] * 256, [0] * 256
        self.refusals = dict.fromkeys(Code, 0)
        self.dropped = self.tls_failures = 0
        self.answers = Distribution(SECONDS)  # seconds from a frame to its answer, or until there is none
