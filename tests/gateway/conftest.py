"""What the gateway's tests have alike: both kinds of loop."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.gateway.port import NewLoop


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """Return what makes a loop."""
    loop: NewLoop = request.param
    return loop
