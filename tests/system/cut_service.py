"""The service, killed where a change of its properties is half done.

python -m tests.system.cut_service before|after run --home HOME: before the file is written, or right after.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from qekm import server
from qekm.configuration import owner


def cut(when: str) -> None:
    """Have the process killed at the next change of its file."""
    real: Callable[..., Any] = owner.amend

    def amend(*arguments: Any, **options: Any) -> Any:
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    owner.amend = amend


if __name__ == "__main__":
    cut(sys.argv[1])
    sys.exit(server.main(sys.argv[2:]))
