"""Persons with certificates of their own, for what one of them may not do alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from qekm import keypair
from qekm.client import AsyncClient, connect_async
from qekm.errors import ApprovalNeeded
from qekm.model import Role
from qekm.v1 import approvals_pb2, certificates_pb2
from tests.qekm.api.running import Running


async def have(client: AsyncClient, run: Running, role: Role, name: str) -> str:
    """Have a certificate issued, keep it in the home under the person's name, and return its serial."""
    key = keypair.make_key()
    request = certificates_pb2.IssueCertificateRequest(
        csr=keypair.make_request(key), role=certificates_pb2.Role.ValueType(role), name=name
    )
    issued = await client.certificates.IssueCertificate(request)
    run.home.key(name).write_bytes(keypair.dump_key(key))
    run.home.certificate(name).write_bytes(issued.pem)
    return issued.certificate.serial


@asynccontextmanager
async def person(run: Running, name: str) -> AsyncIterator[AsyncClient]:
    """Return the client of somebody who has a certificate."""
    async with connect_async(run.home.path, identity=name) as client:
        yield client


@asynccontextmanager
async def two(run: Running) -> AsyncIterator[tuple[AsyncClient, AsyncClient]]:
    """Return the clients of the administrator and of a custodian, bob, who is there since a minute ago."""
    await have(run.client, run, Role.CUSTODIAN, "bob")
    run.clock.ahead_us += 60_000_000
    async with person(run, "bob") as bob:
        yield run.client, bob


async def waiting(call: Awaitable[object]) -> str:
    """Return the id of the request that a call files."""
    with pytest.raises(ApprovalNeeded) as caught:
        await call
    return caught.value.details["approval"]


async def grant(client: AsyncClient, approval_id: str) -> approvals_pb2.Approval:
    """Approve a request."""
    request = approvals_pb2.GrantApprovalRequest(approval_id=approval_id)
    return (await client.approvals.GrantApproval(request)).approval
