"""Servers that are cut off, die and come back as old copies: nothing is lost, nothing is given twice."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from qekm.keystore import Keystore
from qekm.keystore.states import after_keeping
from qekm.model import Key, KeyState
from tests.fakes.islanders import ACTIONS, Islanders
from tests.fakes.lifecycle import DIED, KEPT, LOST, Step

IN_A_WORLD = 500  # steps, and a new one begins
_RARE = ("crash", "restore", "copy")
_OFTEN = ("write",) * 6 + ("confirm", "talk") * 4 + ("hear",) * 3 + ("read", "heal", "say") * 2 + ("make",)
CHOICE = (*(action for action in ACTIONS if action not in _RARE), *_OFTEN) * 3 + _RARE
_FATES = (KEPT,) * 28 + (LOST, DIED)


def chance(generator: random.Random) -> Step:
    """Return any step."""
    fate = generator.choice(_FATES)
    return generator.choice(CHOICE), generator.randrange(1_000), generator.randrange(1_000), fate


def walk(steps: int, seed: int, **parts: Any) -> set[KeyState]:
    """Take so many steps, in worlds of two and of three servers; return the states that keys were in."""
    generator, seen = random.Random(seed), set[KeyState]()
    for start in range(0, steps, IN_A_WORLD):
        world = Islanders(2 + start // IN_A_WORLD % 2, generator.randrange(1 << 32), **parts)
        try:
            for _ in range(min(IN_A_WORLD, steps - start)):
                world.step(*chance(generator))
            world.settle()
            seen |= {key.state for server in world.servers for key in server.keystore}
        finally:
            world.close()
    return seen


def test_the_walk_meets_every_state() -> None:
    """A walk that never gets there proves nothing."""
    assert walk(2_000, 3) >= set(KeyState) - {KeyState.GENERATED}


class Lives(RuleBasedStateMachine):
    """The same steps, chosen by hypothesis: what it finds, it shrinks."""

    parts: dict[str, Any] = {}  # noqa: RUF012

    @initialize(count=st.integers(2, 3), seed=st.integers(0, 9))
    def begin(self, count: int, seed: int) -> None:
        """Found an estate."""
        self.world = Islanders(count, seed, **type(self).parts)

    @rule(
        action=st.sampled_from(CHOICE),
        a=st.integers(0, 999),
        b=st.integers(0, 999),
        fate=st.sampled_from(_FATES),
    )
    def live(self, action: str, a: int, b: int, fate: str) -> None:
        """Do anything."""
        self.world.step(action, a, b, fate)

    @rule()
    def settle(self) -> None:
        """Have everybody tell everything."""
        self.world.settle()

    def teardown(self) -> None:
        """End with all servers the same."""
        if hasattr(self, "world"):
            try:
                self.world.settle()
            finally:
                self.world.close()


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=8,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# Controls: the same walk must find what is broken.


def last_writer(a: Key, b: Key) -> Key:
    """Join keys as everything else is: the later change as a whole."""
    return max(a, b, key=lambda key: (key.version, key.sealed))


class Greedy(Keystore):
    """Gives out whatever lies in any pool."""

    def next_ready(self, group: str) -> Key | None:
        """Return any unused key of a group."""
        return next((key for key in self if key.group == group and key.state is KeyState.READY), None)

    def _check_own(self, key: Key) -> None:
        pass


class Forgetful(Keystore):
    """Calls a destruction off as if that were any change."""

    def keep(self, aliases: Iterable[str]) -> list[Key]:
        """Count it with all others."""
        return [
            self.put(
                replace(
                    key,
                    state=after_keeping(KeyState(key.former)),
                    former=0,
                    destroy_time_us=0,
                    version=key.version + 1,
                )
            )
            for key in map(self.by_alias, aliases)
        ]


LOSES = (
    "stolen|mount is forgotten|was lost|two mounts|differ|again and again|called off|other material|by nobody"
)
BROKEN: Sequence[tuple[str, dict[str, Any], str]] = (
    ("keys of which the later change holds", {"joined": last_writer}, LOSES),
    ("the pool of another server", {"keystore": Greedy}, "given to two mounts"),
    ("a destruction that is called off and comes back", {"keystore": Forgetful}, "called off"),
    ("a destruction that waits for nobody", {"careful": False}, "called off"),
)


@pytest.mark.parametrize(("what", "parts", "told"), BROKEN, ids=[what for what, *_ in BROKEN])
def test_the_walk_finds_what_is_broken(what: str, parts: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        walk(30_000, 1, **parts)
