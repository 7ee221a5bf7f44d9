"""A real gRPC service that answers steps by a function, keeps what it was sent, and can be frozen.

`python -m tests.fakes.serving_service PORT` runs it as a process of its own, for what only signals can do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import qekm.rpc  # noqa: F401

# isort: split
import grpc
from grpc import aio

from qekm.dkp.codes import Fault
from qekm.rpc.channel import SERVER_OPTIONS
from qekm.rpc.frames import frame_of_step, to_reply
from qekm.v1.serving_pb2 import Reply, ServeRequest, ServeResponse, Step
from qekm.v1.serving_pb2_grpc import ServingServiceServicer, add_ServingServiceServicer_to_server
from tests.fakes.link import serve


def answer(step: Step) -> Reply | None:
    """Answer like a service that finds everything good."""
    reply = serve(frame_of_step(step))
    assert not isinstance(reply, Reply)
    if isinstance(reply, Fault):
        return to_reply(reply, step.step_id, step.session_id, step.sequence + 1)
    return to_reply(reply, step.step_id, reply.session_id, reply.sequence)  # type: ignore[arg-type, union-attr]


class ServingService(ServingServiceServicer):
    """Answers every request with one response, in order."""

    def __init__(self, answer: Callable[[Step], Reply | None] = answer, alive: bool = True) -> None:
        """Take how steps are answered, and whether signs of life are given, which older releases do not."""
        self.answer, self.alive = answer, alive
        self.requests: list[ServeRequest] = []
        self.going = asyncio.Event()
        self.going.set()
        self.refuse: grpc.StatusCode | None = None
        self.draining = asyncio.Event()
        self.tell: asyncio.Queue[ServeResponse] = asyncio.Queue()  # of the newest stream
        self.streams = 0

    @property
    def batches(self) -> list[int]:
        """Return how many steps each request with steps had."""
        return [len(request.steps) for request in self.requests if request.steps]

    async def Serve(self, request_iterator: Any, context: Any) -> AsyncIterator[ServeResponse]:
        """Serve one gateway."""
        self.streams += 1
        if self.refuse is not None:
            await context.abort(self.refuse, "not you")
        tell = self.tell = asyncio.Queue()
        reading = asyncio.create_task(self._read(request_iterator, tell))
        draining = asyncio.create_task(self.draining.wait())
        told = asyncio.create_task(tell.get())
        try:
            while not reading.done():
                await asyncio.wait({told, draining, reading}, return_when=asyncio.FIRST_COMPLETED)
                if told.done():
                    yield told.result()
                    told = asyncio.create_task(tell.get())
                elif draining.done():
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
        finally:
            for task in (reading, draining, told):
                task.cancel()

    async def _read(self, requests: AsyncIterator[ServeRequest], tell: asyncio.Queue[ServeResponse]) -> None:
        async for request in requests:
            asked, request.alive = request.alive, False
            if request.ByteSize():  # else only a sign of life was asked for
                self.requests.append(request)
            if request.steps:
                await self.going.wait()
            replies = [reply for step in request.steps if (reply := self.answer(step)) is not None]
            if replies or (asked and self.alive):
                tell.put_nowait(ServeResponse(replies=replies, alive=asked and self.alive))


class Running:
    """A service on a port; it can be stopped hard and started again on the same one."""

    def __init__(self, service: ServingService, credentials: grpc.ServerCredentials | None = None) -> None:
        self.service = service
        self.credentials = credentials
        self.port = 0
        self._server: aio.Server | None = None

    async def start(self) -> None:
        """Listen, on the port that it had before."""
        self._server = aio.server(options=list(SERVER_OPTIONS))
        add_ServingServiceServicer_to_server(self.service, self._server)
        address = f"127.0.0.1:{self.port}"
        if self.credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self.credentials)
        await self._server.start()

    async def stop(self, grace: float | None = None) -> None:
        """End all streams and listen no more."""
        assert self._server is not None
        await self._server.stop(grace)


async def _main(port: int) -> None:
    running = Running(ServingService())
    running.port = port
    await running.start()
    print(running.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
