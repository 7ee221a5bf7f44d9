"""Drives that do all their arithmetic behind a gateway's stream, and stores that do not do as they should."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us as clock_us
from qekm.dkp.codes import Ask
from qekm.dkp.frame import parse, serialize
from qekm.errors import Incident, QekmError
from qekm.model import Change, KeyState
from qekm.rpc.frames import frame_of_reply, to_step
from qekm.store import Store
from qekm.v1 import drives_pb2
from qekm.v1.serving_pb2 import Reply, Step
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome
from tests.qekm.api.running import Gateway, Running

SOURCE = "192.0.2.7:40000"
Unit = Sequence[Change]


@dataclass
class Asking:
    """One drive's session as a gateway sees it: steps out, replies in."""

    session: Session
    raw: bytes | None = None
    session_id: int = 0
    step_ids: list[int] = field(default_factory=list)

    def step(self, step_id: int) -> Step:
        """Return the drive's next frame as a step."""
        self.raw = self.raw or self.session.begin()
        return to_step(parse(self.raw), step_id, SOURCE)

    def take(self, reply: Reply) -> None:
        """Give the drive its answer; Refused for an error."""
        self.session_id = reply.session_id
        self.raw = self.session.receive(serialize(frame_of_reply(reply)))

    @property
    def outcome(self) -> Outcome:
        """Return how the session ended."""
        assert self.session.outcome is not None
        return self.session.outcome


@dataclass
class Site:
    """A service, a trusted drive authority and what drives believe."""

    run: Running
    authority: Authority
    anchors: Anchors

    @classmethod
    async def of(cls, run: Running) -> Site:
        """Trust a new authority."""
        authority = make_authority(clock_us())
        der = authority.certificate.public_bytes(Encoding.DER)
        await run.client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
        anchor = run.service.owners.estate.anchor
        return cls(run, authority, Anchors((anchor,)))

    def drive(self, serial: str = "001300000392") -> Drive:
        """Make a drive."""
        return make_drive(self.authority, serial, clock_us())

    def asking(self, drive: Drive | None = None, ask: Ask = Ask.CREATE, **fields: Any) -> Asking:
        """Begin a session of a drive."""
        errand = Errand(ask, **({"volser": "E01001L4", "mount_id": os.urandom(16)} | fields))
        return Asking(Session(drive or self.drive(), errand, self.anchors, os.urandom, clock_us))

    def key(self, alias: str) -> Any:
        """Return a key as it is in memory."""
        return self.run.service.owners.keystore.by_alias(alias)

    def stored(self) -> dict[str, KeyState]:
        """Return the state of every key that was used, as it is on disk."""
        keys = self.run.store.load().keys
        return {key.alias: key.state for key in keys if key.state is not KeyState.READY}


async def play(gateway: Gateway, *askings: Asking, steps: int = 9) -> None:
    """Carry sessions side by side, each batch with one step of each, until they end or `steps` are done."""
    for number in range(steps):
        going = [asking for asking in askings if number == 0 or asking.raw is not None]
        if not going:
            return
        replies = (await gateway.ask(*(asking.step(place) for place, asking in enumerate(going)))).replies
        assert sorted(reply.step_id for reply in replies) == list(range(len(going)))
        for reply in replies:
            going[reply.step_id].take(reply)


async def events(run: Running) -> list[str]:
    """Return the trail's events."""
    return [record.event for record in await run.records()]


class HeldStore(Store):
    """Commits at once, but tells of it only when the test lets it; counts the calls."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.open_ = asyncio.Event()
        self.open_.set()
        self.calls = 0

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[list[QekmError | None]]:
        """Commit, and answer when the gate is open."""
        self.calls += 1
        return asyncio.ensure_future(self._held(super().submit(units)))

    async def _held(self, inner: asyncio.Future[Any]) -> Any:
        result = await inner
        await self.open_.wait()
        return result


class ForgetfulStore(Store):
    """Refuses the units that hold a record of these events, as for a row that cannot be."""

    refused: tuple[str, ...] = ()

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[list[QekmError | None]]:
        """Commit the other units only."""
        bad = [any(getattr(change, "event", "") in self.refused for change in unit) for unit in units]
        inner = super().submit([unit for unit, is_bad in zip(units, bad, strict=True) if not is_bad])
        return asyncio.ensure_future(self._mixed(inner, bad))

    async def _mixed(self, inner: asyncio.Future[Any], bad: Iterable[bool]) -> Any:
        results = iter(await inner)
        return [Incident("internal error") if is_bad else next(results) for is_bad in bad]
