"""What a server makes of it that another one ends the stream: who is no more who it was gives no new keys."""

from __future__ import annotations

from qekm.errors import PeerAway, QekmError
from qekm.model import Setting
from qekm.peers import KNOWN_EPOCH
from qekm.replication.conversation import Conversation
from qekm.replication.ground import Ground, Pool
from qekm.replication.messages import Refusal
from qekm.text import as_line

REVOKED = "another server has revoked this one's certificate: if it was removed from the estate, erase it"


def heed(pool: Pool, error: QekmError) -> None:
    """Give no new keys while a server that is called refuses this one's certificate as revoked.

    It proves a certificate of the estate for its address, and not the root key; so that is not remembered:
    the next stream ends it. A certificate that was only replaced is on the disk by the next call.
    """
    if error.details.get("revoked") and not pool.read_only:
        pool.freeze(REVOKED)


async def turned_away(ground: Ground, conversation: Conversation, name: str, refusal: Refusal) -> PeerAway:
    """Return what the peer ends the stream for: it has counted and recorded that, not this server.

    The error says `behind` if this server is an old copy, a second copy or removed; the epoch that the peer
    knows is remembered, for the next one here is to follow it. StoreFailed.
    """
    what = f"server {name} refuses this one: {as_line(refusal.message)}"
    if not conversation.is_disowned(refusal):
        return PeerAway(what, peer=name)
    known = int(ground.settings.get(KNOWN_EPOCH, "0"))
    if refusal.epoch > known:
        ground.settings[KNOWN_EPOCH] = str(refusal.epoch)
        await ground.store.commit([Setting(KNOWN_EPOCH, str(refusal.epoch))])
    return PeerAway(what, peer=name, behind="yes")
