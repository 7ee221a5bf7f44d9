"""Every event that the trail can hold has a place in the family's table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from qekm.api.authority import RULES
from qekm.failpoints import NAMES as FAILPOINTS
from qekm.logs.events import EVENTS, TYPES, event_of
from qekm.properties import PROPERTIES
from qekm.properties.logs import EVENT_TYPES

CODE = Path(__file__).parents[3] / "qekm"
NOUNS = (
    "account|audit|backup|certificate|configuration|diagnosis|drive|drivetable|group|key|keystore|server|"
    "session|slot|store|partner|peer|property|properties|config|login|password|takeover"
)
EVENT = re.compile(rf"({NOUNS})\.[a-z]+")
# What looks like an event and is a file, or a setting of the store's own.
OTHERS = frozenset(
    {"keystore.tag", "keystore.epoch", "keystore.protected", "server.instance"}
    | {"store.unanchored", "store.unerased"}
)
FILE = re.compile(r".*\.(pem|txt|key|json|db|csv)")
# Calls that change nothing, or whose record has a name of its own; the trail has the others as rpc.<Method>,
# and who took a report away.
READING = re.compile(
    "(Get(?!Report)|List|Verify(?!Backup))|Serve$|ServerReflectionInfo$|JoinEstate$|Replicate$"
)


def written() -> set[str]:
    """Return what is written as an event somewhere in the code."""
    return {
        node.value
        for path in CODE.rglob("*.py")
        if "properties" not in path.parts and "v1" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if EVENT.fullmatch(node.value) and not FILE.fullmatch(node.value)
    } - {*PROPERTIES, *FAILPOINTS, *OTHERS}


@pytest.mark.parametrize("event", sorted(written()))
def test_what_the_code_records_is_in_the_table(event: str) -> None:
    assert event in EVENTS


@pytest.mark.parametrize("method", sorted(path.rpartition("/")[2] for path in RULES))
def test_every_call_that_changes_something_is_in_the_table(method: str) -> None:
    assert (f"rpc.{method}" in EVENTS) != bool(READING.match(method))


def test_the_classes_are_those_of_the_property() -> None:
    assert set(TYPES) == set(EVENT_TYPES)
    assert {event.category for event in EVENTS.values()} <= set(TYPES)


def test_an_event_of_a_newer_release_is_one_of_the_runtime() -> None:
    assert event_of("moon.rise").type == "SECURITY_RUNTIME"
