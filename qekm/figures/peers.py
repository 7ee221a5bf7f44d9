"""How far the other servers of the estate are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from qekm.families import MOST, Family, count, gauge
from qekm.model import Peer
from qekm.replication.links import Links


def peers(others: Iterable[Peer], links: Links) -> Iterator[Family]:
    """Yield what is known of each."""
    found = [(peer.name, links.status(peer.name)) for peer in islice(others, MOST)]
    rows = [((name,), link) for name, link in found if link is not None]
    connected = ((name, float(link.connected)) for name, link in rows)
    yield gauge("qekm_peer_connected", "Whether the stream to a server stands.", connected, "peer")
    records = ((name, link.lag_records) for name, link in rows)
    what = "Records of this server that a peer has not on its disk."
    yield gauge("qekm_peer_lag_records", what, records, "peer")
    seconds = ((name, link.lag_seconds) for name, link in rows)
    yield gauge("qekm_peer_lag_seconds", "Seconds since a peer had everything.", seconds, "peer")
    diverged = ((name, float(bool(link.differences))) for name, link in rows)
    what = "Whether the store of a peer differs from this one's."
    yield gauge("qekm_peer_diverged", what, diverged, "peer")
    yield count("qekm_peer_refused", "Streams that were refused.", links.refused)
