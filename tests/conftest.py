"""What holds for every test: TLS 1.3 only, which this process must be told before grpc is first imported."""

from __future__ import annotations

import qekm.rpc  # noqa: F401
