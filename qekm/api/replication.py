"""PeersService/Replicate: the end of a stream that was called. Who is refused is told why, and recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from qekm.api.answers import refuse
from qekm.api.guard import caller
from qekm.errors import PeerAway, QekmError, StoreFailed
from qekm.replication.messages import Message, Pipe
from qekm.rpc.peer import of_proto, to_proto, translated
from qekm.v1 import peers_pb2 as pb


class Called(Protocol):
    """The links to all other servers (qekm.replication.links)."""

    async def called(self, name: str, pipe: Pipe) -> None:
        """Serve a server that has called until the stream ends."""


class _Answering:
    """The called server's end of a stream."""

    def __init__(self, name: str, requests: AsyncIterator[pb.ReplicateRequest], context: Any) -> None:
        self._name, self._requests, self._context = name, requests, context

    async def send(self, message: Message) -> None:
        """Return when there is room for more."""
        with translated(self._name):
            await self._context.write(pb.ReplicateResponse(message=to_proto(message)))

    async def receive(self) -> Message | None:
        """Return the next message, None at the end."""
        with translated(self._name):
            while (request := await anext(self._requests, None)) is not None:
                if (message := of_proto(request.message)) is not None:
                    return message
        return None


async def replicate(links: Called, requests: AsyncIterator[pb.ReplicateRequest], context: Any) -> None:
    """Serve the stream of another server, which the guard has let in, until either side ends it.

    What ends it is recorded by the links as peer.refuse, and not once more as a call that was refused.
    """
    try:
        name = caller().name
        await links.called(name, _Answering(name, requests, context))
    except StoreFailed as error:  # ours, which ends this service and must not end the other one
        await refuse(context, PeerAway(f"its disk failed: {error.message}"))
    except QekmError as error:
        await refuse(context, error)
