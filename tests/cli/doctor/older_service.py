"""The service as one of an older version: what it says of itself, not what it does."""

from __future__ import annotations

import qekm

qekm.__version__ = "0.3.9"

from qekm.server import main  # noqa: E402

if __name__ == "__main__":
    main()
