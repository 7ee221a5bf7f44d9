"""The life cycle of keys against a model, whatever happens in whatever order, and however commits end."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from qekm.approvals import Act, Approvals
from qekm.keystore import Keystore
from qekm.model import Approval, ApprovalState, Change, Key, KeyState
from tests.fakes.lifecycle import ACTIONS, DIED, KEPT, LOST, Disk, Step, World
from tests.faults.sizes import SEED

STEPS = int(os.environ.get("QEKM_MODEL_STEPS", "100000"))  # a soak takes more
IN_A_WORLD = 500  # steps, and a new one begins
OFTEN = ("write", "write", "confirm", "destroy", "destroy", "grant", "grant", "read", "wait", "wait")
_FATES = (KEPT,) * 28 + (LOST, DIED)


def chance(generator: random.Random) -> Step:
    """Return any step."""
    action = generator.choice(ACTIONS + OFTEN)
    return action, generator.randrange(1_000), generator.randrange(1_000), generator.choice(_FATES)


def walk(steps: int, seed: int, world: Callable[[bool], World]) -> int:
    """Take so many steps, in worlds of both kinds; return how many worlds there were."""
    generator, worlds, current = random.Random(seed), 0, world(False)
    for number in range(steps):
        if number % IN_A_WORLD == 0:
            current.check_all()
            current, worlds = world(bool(worlds % 2)), worlds + 1
        current.step(*chance(generator))
    current.check_all()
    return worlds


@pytest.mark.slow
@pytest.mark.timeout(300 + STEPS // 200)
def test_a_hundred_thousand_steps_break_no_rule() -> None:
    begun = time.monotonic()
    worlds = walk(STEPS, SEED, lambda waits: World(waits=waits))
    print(f"{STEPS:,} steps in {worlds} worlds, seed {SEED}, {time.monotonic() - begun:.1f} s")


def test_the_walk_meets_every_state_and_every_action() -> None:
    """A walk that never gets there proves nothing."""
    generator, seen, done = random.Random(3), set(), set()
    for waits in (False, True) * 3:
        world = World(waits=waits)
        for _ in range(1_500):
            step = chance(generator)
            done.add(step[0])
            world.step(*step)
            seen |= {key.state for key in world.disk.keys.values()}
    assert seen == set(KeyState)
    assert done == set(ACTIONS)
    assert world.granted or any(each.state is ApprovalState.USED for each in world.disk.approvals.values())


class Lives(RuleBasedStateMachine):
    """The same steps, chosen by hypothesis: what it finds, it shrinks."""

    make: Callable[[bool], World] = staticmethod(lambda waits: World(waits=waits))

    @initialize(waits=st.booleans())
    def begin(self, waits: bool) -> None:
        """Found an estate."""
        self.world = type(self).make(waits)

    @rule(
        action=st.sampled_from(ACTIONS + OFTEN),
        a=st.integers(0, 999),
        b=st.integers(0, 999),
        fate=st.sampled_from(_FATES),
    )
    def live(self, action: str, a: int, b: int, fate: str) -> None:
        """Do anything."""
        self.world.step(action, a, b, fate)

    @invariant()
    def holds(self) -> None:
        """Everything agrees."""
        if hasattr(self, "world"):
            self.world.check_all()


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)


# Controls: the same machine must find what is broken.


class Recycling(Keystore):
    """Has a way back to READY."""

    def keep(self, aliases: Iterable[str]) -> list[Key]:
        """Make a key what it was, even one that was never given."""
        return [
            self.put(replace(key, state=KeyState(key.former), former=0, version=key.version + 1))
            for key in map(self.by_alias, aliases)
        ]


class Generous(Keystore):
    """Forgets that a key was given when its drive falls silent."""

    def mark(self, key: Key, state: KeyState) -> Key:
        """Put a suspect key back into the pool."""
        if state is KeyState.SUSPECT:
            return self.put(replace(self.by_alias(key.alias), state=KeyState.READY, version=key.version + 1))
        return super().mark(key, state)


class Eager(Keystore):
    """Destroys what is not due."""

    def due(self, now_us: int) -> list[Key]:
        """Return all that wait."""
        return self.few(KeyState.DESTROY_PENDING)


class Impatient(Keystore):
    """Gives keys that are in no second place yet."""

    def next_ready(self, group: str) -> Key | None:
        """Return a key that waits for its backup, too."""
        waiting = [key for key in self.few(KeyState.GENERATED) if key.group == group]
        for key in waiting[:1]:
            return self.put(replace(key, state=KeyState.READY, version=key.version + 1))
        return super().next_ready(group)


class Lasting(Approvals):
    """Lets an approval be used again and again."""

    def use(self, act: Act, requester: str) -> Approval | None:
        """Find it and leave it as it is."""
        return self._like(act, requester, ApprovalState.APPROVED)


class Lax(Approvals):
    """Lets anybody approve."""

    def grant(self, approval_id: str, decider: str, issued_us: int) -> Approval:
        """Ask not who."""
        return self._decide(
            self._undecided(approval_id, ApprovalState.PENDING), ApprovalState.APPROVED, decider
        )


class Forgetful(Disk):
    """Says that it has committed, and now and then has not."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def commit(self, unit: Iterable[Change]) -> None:
        """Lose every fiftieth unit."""
        self._count += 1
        if self._count % 50:
            super().commit(unit)


BACK = "back in the pool|not from the pool|given out twice|given though"
BROKEN: Sequence[tuple[str, dict[str, Any], str]] = (
    ("a way back to READY", {"keystore": Recycling}, BACK),
    ("a suspect key in the pool", {"keystore": Generous}, BACK),
    ("destroyed before its time", {"keystore": Eager}, "destroyed before its time"),
    ("given before its backup", {"keystore": Impatient}, "not from the pool"),
    ("an approval that is used twice", {"approvals": Lasting}, "or it was used before"),
    ("an approval by oneself", {"approvals": Lax}, "nobody else may approve"),
    ("a forgetful commit", {"disk": Forgetful}, "memory is not what the disk is|a key was lost"),
)


@pytest.mark.parametrize(("what", "parts", "told"), BROKEN, ids=[what for what, *_ in BROKEN])
def test_the_walk_finds_what_is_broken(what: str, parts: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        walk(20_000, 1, lambda waits: World(waits=waits, **parts))


def test_hypothesis_finds_a_way_back_to_ready() -> None:
    class Broken(Lives):
        """The same machine with a keystore that recycles."""

        make = staticmethod(lambda waits: World(keystore=Generous, waits=waits))

    with pytest.raises(AssertionError, match=BACK):
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Broken,
            settings=settings(
                max_examples=200,
                stateful_step_count=60,
                deadline=None,
                database=None,
                phases=[Phase.generate],
            ),
        )
