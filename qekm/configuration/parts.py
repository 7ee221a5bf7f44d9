"""The parts of a service that take new settings while it runs, and how what they did is taken back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from qekm.configuration.settings import Settings
from qekm.model import Change

_log = logging.getLogger(__name__)

Undo = Callable[[], Awaitable[None]]
Apply = Callable[[Settings], Awaitable["Applied"]]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a part of the service did with new settings: how it is taken back, gone on with, or ended."""

    undo: Undo | None = None
    # The file is written: what is to be committed; no await.
    settle: Callable[[], Sequence[Change]] | None = None
    finish: Undo | None = None  # all is durable and in force: the old port is drained
    notes: tuple[str, ...] = ()


def at_once(act: Callable[[Settings], None]) -> Apply:
    """Return the part of who needs only be told of new settings, and cannot fail."""

    async def apply(coming: Settings) -> Applied:
        """Tell of the settings when the file is written."""

        def settle() -> Sequence[Change]:
            """Tell; nothing is to be committed."""
            act(coming)
            return ()

        return Applied(settle=settle)

    return apply


async def undo(done: Sequence[Applied]) -> None:
    """Take back what parts did, the last first."""
    for applied in reversed(done):
        if applied.undo is not None:
            await _tried(applied.undo)


async def finish(done: Sequence[Applied]) -> None:
    """Have the parts end what was before."""
    for applied in done:
        if applied.finish is not None:
            await _tried(applied.finish)


async def _tried(part: Undo) -> None:
    """Do what must not keep the other parts from theirs."""
    try:
        await part()
    except Exception:
        _log.exception("a part of the configuration failed")
