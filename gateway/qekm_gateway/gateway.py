"""What all connections of a gateway share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from qekm_gateway.activity import Activity
from qekm_gateway.admission import Admission
from qekm_gateway.deadlines import Deadlines, Limits
from qekm_gateway.debug import Debug
from qekm_gateway.faults import Incidents
from qekm_gateway.tls import Certificate
from qekm_gateway.translate import Link, Translator

# One read takes at most this much, whoever sends; two frames of the largest size.
_READ = 32_768


@dataclass(slots=True)
class Gateway:
    """The parts, and the rules in force: what is put in their place holds from the next connection on."""

    loop: asyncio.AbstractEventLoop
    link: Link
    admission: Admission
    deadlines: Deadlines
    certificate: Certificate
    incidents: Incidents = field(default_factory=Incidents)
    limits: Limits = field(default_factory=Limits)
    tls_required: bool = False
    debug: Debug = field(default_factory=Debug)
    activity: Activity = field(default_factory=Activity)
    translator: Callable[..., Translator] = Translator
    draining: bool = False
    # Bytes are copied out of it before anyone else can read, so one serves all.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ)))
