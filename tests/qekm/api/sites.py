"""Two sites that know each other, and what they give one another: each a whole service of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qekm.client import AsyncClient
from qekm.model import Change, Key, KeyState
from qekm.v1 import sharing_pb2 as pb
from tests.qekm.api.people import grant, two, waiting
from tests.qekm.api.running import Running, collect, running


@dataclass
class Site:
    """A service, its administrator who has the keystore open, and a second person."""

    run: Running
    bob: AsyncClient

    @property
    def client(self) -> AsyncClient:
        """Return the administrator's client."""
        return self.run.client

    async def used(self, count: int, group: str = "default") -> list[Key]:
        """Return keys that a drive has written with."""
        owner = self.run.service.owners.keystore
        changes: list[Change] = []
        keys = []
        for number in range(count):
            key = owner.next_ready(group)
            assert key is not None
            given = owner.assign(key, 1, ("001300000392", number.to_bytes(16), f"E{number:05d}L4"))
            keys.append(owner.mark(given, KeyState.ACTIVE))
            changes += (given, keys[-1])
        await self.run.store.commit(changes)
        return keys

    async def knows(self, other: Site, name: str) -> None:
        """Take another site in as a partner."""
        own = await other.client.sharing.GetCertificates(pb.GetCertificatesRequest())
        request = pb.CreatePartnerRequest(name=name, pem=own.pem, fingerprint=own.fingerprint)
        await self.client.sharing.CreatePartner(request)

    async def export(self, request: pb.ExportKeysRequest) -> Sequence[pb.ExportKeysResponse]:
        """Export what the second person approves."""
        await self.approve(request)
        return await collect(self.client.sharing.ExportKeys(request))

    async def approve(self, request: pb.ExportKeysRequest) -> None:
        """Ask for an export and have it approved."""
        await grant(self.bob, await waiting(collect(self.client.sharing.ExportKeys(request))))

    async def send(self, keys: Iterable[Key], partner: str) -> bytes:
        """Return the file with keys for a partner."""
        request = pb.ExportKeysRequest(aliases=[key.alias for key in keys], partner=partner)
        return b"".join(answer.data for answer in await self.export(request))

    async def receive(self, file: bytes, group: str = "", part: int = 50_000) -> pb.ImportKeysResponse:
        """Import a file, sent in parts."""
        parts = [file[start : start + part] for start in range(0, len(file), part)]
        first = pb.ImportKeysRequest(group=group, source="keys.cms", data=parts[0])
        rest = [pb.ImportKeysRequest(data=each) for each in parts[1:]]
        return await self.client.sharing.ImportKeys(iter([first, *rest]), timeout=60)

    async def take(self, *batches: Sequence[pb.ClearKey], group: str = "") -> pb.ImportKeysResponse:
        """Import keys in clear, a message per batch."""
        head, *tail = batches
        first = pb.ImportKeysRequest(group=group, source="EKMKeys.jck", keys=head)
        rest = [pb.ImportKeysRequest(keys=each) for each in tail]
        return await self.client.sharing.ImportKeys(iter([first, *rest]), timeout=60)

    def material(self, alias: str) -> bytes:
        """Return the material of a key that is here."""
        owner = self.run.service.owners.keystore
        with owner.open(owner.by_alias(alias)) as secret:
            return secret.reveal()


@asynccontextmanager
async def site(path: Path, keys: int = 16) -> AsyncIterator[Site]:
    """Run a service in `path` for the block: the same estate for the same name and keys, fresh each time."""
    async with running(path, keys) as run, two(run) as (_, bob):
        await run.unlock()
        yield Site(run, bob)


def outcomes(report: pb.ImportKeysResponse) -> list[str]:
    """Return what became of each key, as words."""
    return [pb.ImportOutcome.Name(key.outcome).removeprefix("IMPORT_OUTCOME_") for key in report.keys]
