"""What holds for every test: TLS 1.3 only, which this process must be told before grpc is first imported.

And no service of a test takes port 443, for which all of them would fight.
"""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

import qekm.rpc  # noqa: F401
from qekm.properties import PROPERTIES
from qekm.properties.listeners import SSL_PORT

os.environ[PROPERTIES.variable(SSL_PORT)] = "0"
# Of one example no time is promised: on a busy machine any may take a while.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
gc.set_threshold(50_000, 20, 100)  # as a service does: to look for the few cycles took a tenth of the time
