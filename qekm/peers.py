"""Own the servers of the estate: who may be one, who is one, and who calls whom. Memory only.

What changes is returned, to be committed. The table is the same on all servers, so each also finds itself in
it; while nobody was ever invited it is empty.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace

from qekm.errors import BadArgument, NotWaiting, PeerExists, PeerRefused, UnknownPeer
from qekm.model import Peer, PeerState, Setting
from qekm.subject import check_name

LIFE_US = 24 * 3_600 * 1_000_000  # of an invitation
FIRST_EPOCH, LAST_EPOCH = 1, 1_000_000  # told by another server: from beyond, nobody came back
APART = "peers.apart"  # a setting: instances, as hex, of the servers that a restored one keeps apart from
KNOWN_EPOCH = "peers.epoch"  # a setting: the last epoch that another server knows of this one's name
_ADDRESS_LENGTH = 300


class Peers:
    """All servers by name; `own_name` is that of this server's certificate."""

    def __init__(self, rows: Iterable[Peer], own_name: str, instance: bytes, apart: str = "") -> None:
        """apart: the setting APART; who is named there is neither called nor heard until `rejoin`."""
        self._peers = {peer.name: peer for peer in rows}
        self._apart = frozenset(apart.split())
        self.own_name, self.instance = own_name, instance

    def __iter__(self) -> Iterator[Peer]:
        """Give the servers in the order in which they joined, those last that have not."""
        return iter(sorted(self._peers.values(), key=lambda peer: (not peer.join_time_us, *_age(peer))))

    @property
    def own(self) -> Peer | None:
        """Return this server's own row, None while it is alone and always was."""
        return self._peers.get(self.own_name)

    @property
    def others(self) -> list[Peer]:
        """Return the servers that rows are exchanged with: none once this one was removed."""
        if self.own is None or self.own.state is not PeerState.JOINED:
            return []
        return [peer for peer in self if peer.state is PeerState.JOINED and peer.name != self.own_name]

    @property
    def removal(self) -> str:
        """Return why this server gives no new keys any more if another one removed it; empty if none did."""
        if self.own is None or self.own.state is PeerState.JOINED:
            return ""
        return "this server was removed from the estate: erase it, it may be invited anew on another one"

    def find(self, name: str) -> Peer:
        """Return the server of a name; UnknownPeer."""
        peer = self._peers.get(name)
        if peer is None or peer.state is PeerState.REMOVED:
            raise UnknownPeer(f"the estate has no server {name[:64]!r}", peer=name[:64])
        return peer

    def calls(self, name: str) -> bool:
        """Tell whether this server opens the link to another one: whoever came later does, if it can."""
        own, other = self.own, self.find(name)
        if own is None or not other.address or self.is_apart(other):
            return False
        return not own.address or _age(own) > _age(other)

    def is_apart(self, peer: Peer) -> bool:
        """Tell whether this server was restored and keeps apart from one that it knew before.

        It may have been restored to rehearse that: it would take the place of the one that serves.
        """
        return peer.instance.hex() in self._apart

    def rejoin(self) -> list[Setting]:
        """Keep apart from nobody any more."""
        self._apart = frozenset()
        return [Setting(APART, "")]

    def is_primary(self, peer: Peer) -> bool:
        """Tell whether a server is the one that was there first, which all others call."""
        joined = [each for each in self if each.state is PeerState.JOINED]
        return bool(joined) and joined[0].name == peer.name

    # How a server comes and goes.

    def found(self, address: str, epoch: int, spki_sha256: bytes, now_us: int) -> list[Peer]:
        """Return this server's own row if the first other one is about to be invited.

        While it is alone an invitation may also tell it another address: the first one may have been wrong.
        """
        if self.own is not None:
            known = self.others or address == self.own.address
            return [] if known else [self.take(replace(self.own, address=address))]
        state = PeerState.JOINED
        return [
            self.take(Peer(self.own_name, address, self.instance, epoch, state, spki_sha256, now_us, now_us))
        ]

    def check_new(self, name: str, now_us: int) -> None:
        """Raise what `invite` would raise: PeerExists, BadArgument for what is no name."""
        check_name(name)
        peer = self._peers.get(name)
        if name == self.own_name or (peer is not None and _is_taken(peer, now_us)):
            how = "is invited" if peer is not None and peer.state is PeerState.INVITED else "is in the estate"
            hint = f"take it back with: qekm peers remove {name}" if how == "is invited" else None
            raise PeerExists(f"a server {name} {how} already", hint=hint, peer=name)

    def invite(self, name: str, address: str, now_us: int) -> Peer:
        """Expect a server of a new name; errors as `check_new`."""
        self.check_new(name, now_us)
        return self.take(Peer(name, address, b"", FIRST_EPOCH, PeerState.INVITED, b"", now_us, 0))

    def check_invited(self, name: str, now_us: int) -> Peer:
        """Return a server that may still join; NotWaiting, UnknownPeer."""
        peer = self.find(name)
        if peer.state is not PeerState.INVITED:
            hint = f"for another machine of this name: qekm peers remove {name}, then invite it again"
            raise NotWaiting(f"server {name} has joined already", hint=hint, peer=name)
        if now_us >= peer.create_time_us + LIFE_US:
            hint = f"invite it again with: qekm peers invite {name}"
            raise NotWaiting(f"the invitation of {name} has ended", hint=hint, peer=name)
        return peer

    def accept(self, name: str, instance: bytes, spki_sha256: bytes, now_us: int) -> Peer:
        """Let an invited server in; NotWaiting, UnknownPeer."""
        peer = self.check_invited(name, now_us)
        last_us = max((each.join_time_us for each in self._peers.values()), default=0)
        joined = replace(
            peer,
            instance=instance,
            state=PeerState.JOINED,
            spki_sha256=spki_sha256,
            join_time_us=max(now_us, last_us + 1),  # the order tells who calls, so no two have the same
        )
        return self.take(joined)

    def remove(self, name: str) -> Peer:
        """Let a server be none of the estate's any more; UnknownPeer, BadArgument for this one itself."""
        if name == self.own_name:
            hint = "do it at another server of the estate, or stop this one"
            raise BadArgument("a server does not remove itself", hint=hint, field="name")
        return self.take(replace(self.find(name), state=PeerState.REMOVED))

    # What another server says of itself.

    def greet(self, name: str, instance: bytes, epoch: int) -> list[Peer]:
        """Return the row of a server that calls, if its epoch is a new one; PeerRefused.

        An old epoch is an old copy of a server, another instance of the same epoch a second copy: of two such
        both would give out the same keys.
        """
        peer, own = self._peers.get(name), self.own
        if own is not None and own.state is PeerState.REMOVED:
            raise PeerRefused(f"{self.own_name} was removed from the estate", peer=self.own_name)
        if peer is not None and peer.state is PeerState.REMOVED:
            raise _disowned(peer, f"server {name} was removed from the estate")
        if peer is None or peer.state is not PeerState.JOINED or name == self.own_name:
            raise PeerRefused(f"{name[:64]!r} is no other server of the estate", peer=name[:64])
        if self.is_apart(peer):
            hint = "to take its place among the others, there: qekm peers rejoin"
            raise PeerRefused(f"{self.own_name} was restored and keeps apart", hint=hint, peer=self.own_name)
        if epoch > LAST_EPOCH:
            raise PeerRefused(f"server {name} comes with epoch {epoch}, which no server has", peer=name)
        if epoch < peer.epoch:
            what = f"server {name} comes with epoch {epoch}, and was at {peer.epoch} already"
            raise _disowned(peer, f"{what}: it is an old copy")
        if epoch == peer.epoch and instance != peer.instance:
            raise _disowned(peer, f"server {name} is not the one that joined, but a copy of it")
        return self._as(peer, instance, epoch)

    def became(self, epoch: int) -> list[Peer]:
        """Return this server's own row if a restore or an adoption has begun a new epoch since."""
        return [] if self.own is None else self._as(self.own, self.instance, epoch)

    def moved(self, before: int, port: int) -> list[Peer]:
        """Return this server's own row if its SSL port was the one before, and is another now."""
        own = self.own
        host = "" if own is None else own.address.rpartition(":")[0]
        if own is None or not before or own.address != f"{host}:{before}":  # else others come another way
            return []
        return [self.take(replace(own, address=f"{host}:{port}"))]

    def take(self, peer: Peer) -> Peer:
        """Put a row, from here or from another server, in the place of the one of its name."""
        self._peers[peer.name] = peer
        return peer

    def ended(self, told: Peer) -> Peer | None:
        """Return the removal, if of the row here and the one told of the same invitation only one is that."""
        own = self._peers.get(told.name)
        if own is None or own.create_time_us != told.create_time_us:
            return None
        removed = [each for each in (own, told) if each.state is PeerState.REMOVED]
        return removed[0] if len(removed) == 1 else None

    def _as(self, peer: Peer, instance: bytes, epoch: int) -> list[Peer]:
        if (peer.instance, peer.epoch) == (instance, epoch):
            return []
        return [self.take(replace(peer, instance=instance, epoch=epoch))]


def apart_of(rows: Iterable[Peer], instance: bytes) -> list[Setting]:
    """Return what keeps a restored server apart from the others that its backup knows; instance: its own."""
    others = [row for row in rows if row.state is PeerState.JOINED and row.instance != instance]
    return [Setting(APART, " ".join(row.instance.hex() for row in others))] if others else []


def address_at(host: str, port: int) -> str:
    """Return host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_address(address: str, field: str) -> str:
    """Return an address that is host:port, or empty; BadArgument else."""
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    right = port.isdecimal() and 0 < int(port[:6]) < 65_536 and bare and (":" not in bare or bare != host)
    if address and not (right and address.isprintable() and len(address) <= _ADDRESS_LENGTH):
        raise BadArgument(f"{address[:80]!r} is not HOST:PORT, for example ekm2.example:443", field=field)
    return address


def is_local(host: str) -> bool:
    """Tell whether a name or address means whoever's machine it is said on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _disowned(peer: Peer, what: str) -> PeerRefused:
    """Return the refusal of who comes with a server's name and is not that one; it learns of the epoch."""
    hint = "stop it and erase it; if the other one is lost: qekm-server adopt"
    return PeerRefused(what, hint=hint, peer=peer.name, epoch=str(peer.epoch))


def _age(peer: Peer) -> tuple[int, str]:
    return peer.join_time_us, peer.name


def _is_taken(peer: Peer, now_us: int) -> bool:
    if peer.state is PeerState.INVITED:
        return now_us < peer.create_time_us + LIFE_US
    return peer.state is PeerState.JOINED
