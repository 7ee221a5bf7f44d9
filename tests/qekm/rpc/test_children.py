"""A process that serves over grpc starts children, as the service does to prove a backup: none may crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, os, sys
import qekm.rpc
if sys.argv[1] == "without": del os.environ["GRPC_ENABLE_FORK_SUPPORT"]
import grpc, uvloop
from grpc import aio

async def echo(request, context):
    return request

async def main():
    server = aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    handlers = {"y": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x", handlers),))
    await server.start()

    async def load():
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            while True:
                await channel.unary_unary("/x/y")(b"z" * 100)

    calls = [asyncio.create_task(load()) for _ in range(4)]
    crashed = 0
    for number in range(int(sys.argv[2])):
        child = await asyncio.create_subprocess_exec("/bin/true", start_new_session=True)
        crashed += await child.wait() != 0
        if crashed and sys.argv[1] == "without":
            break
    for call in calls:
        call.cancel()
    print("crashed", crashed, flush=True)
    os._exit(0)

uvloop.run(main())
"""


def _crashed(how: str, most: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, str(most)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout.split()[-1])


def test_no_child_crashes_though_calls_are_under_way() -> None:
    assert _crashed("with", 60) == 0


@pytest.mark.slow
def test_with_the_fork_handlers_of_grpc_some_do() -> None:
    """The negative control: where this fails, grpc or uvloop was mended, and our setting can go."""
    assert _crashed("without", 600) > 0
