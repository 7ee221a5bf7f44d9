"""Properties of the other servers of the estate: what waits for them, and when somebody is told of them."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import choice, whole

WAIT, STRICT = "peers.waitMilliseconds", "peers.strict"
AWAY, LAG = "peers.awayMinutes", "peers.lagSeconds"

PEERS = (
    Property(
        WAIT,
        whole(0, 5_000),
        "250",
        "ours",
        "How long a new key's answer waits until a connected peer has it on its disk.",
        "ms",
        dynamic=True,
    ),
    Property(
        STRICT,
        choice("on", "off"),
        "off",
        "ours",
        "Whether a new key is refused when no peer has it in that time.",
        dynamic=True,
        local=True,
    ),
    Property(
        AWAY,
        whole(1, 10_080),
        "60",
        "ours",
        "Minutes without any peer after which backups count instead, where keys become few.",
        "min",
        dynamic=True,
    ),
    Property(
        LAG,
        whole(1, 86_400),
        "60",
        "ours",
        "How far behind a peer may be before somebody is told.",
        "s",
        dynamic=True,
    ),
)
