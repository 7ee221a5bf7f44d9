"""What both ends of a gRPC link share. Importing this package before grpc leaves TLS 1.3 as the only version.

grpcio has no option for a minimum version. Its cipher list concerns TLS 1.2 only, and a list that holds
nothing but a suite that neither end can use (a pre-shared key that was never set) leaves 1.2 without one. The
variable is read once, while grpc is imported; `qekm.rpc.tls.server_credentials` refuses to work when that was
too early. Only the standard library is imported here.
"""

from __future__ import annotations

import os
import sys

_VARIABLE, _UNUSABLE = "GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-AES128-CBC-SHA"

TLS13_ONLY: bool = "grpc" not in sys.modules or os.environ.get(_VARIABLE) == _UNUSABLE
"""Whether this process was told in time."""

os.environ[_VARIABLE] = _UNUSABLE
# grpc writes a line for every handshake that fails, straight to stderr: noise in a command line, and a way
# for a stranger to fill a log. GRPC_VERBOSITY=INFO in the environment brings them back.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# uvloop starts a child with fork(), in which grpc's fork handlers run: under load 5 children of 60 crashed.
# No child of ours uses grpc before it has called exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
