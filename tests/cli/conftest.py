"""Runs `qekm` inside this process against a service in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from qekm_cli.app import run, say
from qekm_cli.connection import Invocation

from .fake_service import FakeService


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Return the lines of standard output."""
        return self.out.splitlines()

    @property
    def document(self) -> Any:
        """Return standard output as the one JSON document that it is."""
        return json.loads(self.out)


Qekm = Callable[..., Outcome]


@pytest.fixture
def service() -> FakeService:
    """Give a service in memory."""
    return FakeService()


@pytest.fixture
def qekm(service: FakeService, capsys: pytest.CaptureFixture[str]) -> Qekm:
    """Give a function that runs one command line against `service`."""

    def command(*words: str) -> Outcome:
        ending = run(words, Invocation(connect=service.connect))
        say(ending)
        told = capsys.readouterr()
        return Outcome(ending.code, told.out, told.err)

    return command
