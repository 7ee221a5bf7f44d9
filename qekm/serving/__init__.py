"""The serving conversation: owners working together on a drive's session (docs/protocol.md). No I/O."""

from qekm.serving.steps import Decision, Serving

__all__ = ["Decision", "Serving"]
