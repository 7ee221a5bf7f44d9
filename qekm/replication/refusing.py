"""What a server makes of it that another one ends the stream: who is no more who it was gives no new keys."""

from __future__ import annotations

from qekm.errors import PeerAway
from qekm.model import Setting
from qekm.peers import KNOWN_EPOCH
from qekm.replication.conversation import Conversation
from qekm.replication.ground import Ground
from qekm.replication.messages import Refusal

_LONGEST = 300  # characters of what a peer says


async def turned_away(ground: Ground, conversation: Conversation, name: str, refusal: Refusal) -> PeerAway:
    """Return what the peer ends the stream for: it has counted and recorded that, not this server.

    The error says `behind` if this server is an old copy, a second copy or removed; the epoch that the peer
    knows is remembered, for the next one here is to follow it. StoreFailed.
    """
    text = "".join(each if each.isprintable() else "?" for each in refusal.message[:_LONGEST])
    what = f"server {name} refuses this one: {text}"
    if not conversation.is_disowned(refusal):
        return PeerAway(what, peer=name)
    known = int(ground.settings.get(KNOWN_EPOCH, "0"))
    if refusal.epoch > known:
        ground.settings[KNOWN_EPOCH] = str(refusal.epoch)
        await ground.store.commit([Setting(KNOWN_EPOCH, str(refusal.epoch))])
    return PeerAway(what, peer=name, behind="yes")
