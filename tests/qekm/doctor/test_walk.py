"""Steps are walked in order, each in time, and none after one that it needs and that is broken."""

from __future__ import annotations

import threading
import time

from qekm.doctor.finding import Finding, broken, doubtful, fine, first_broken, unseen
from qekm.doctor.report import lines, summary
from qekm.doctor.steps import HOME_STEPS, LINK_STEPS, STEPS, Step
from qekm.doctor.walk import walk, within
from qekm.errors import StoreDamaged

A, B, C, D = (
    Step("a", "first", "x"),
    Step("b", "second", "x", ("a",)),
    Step("c", "third", "x", ("b",)),
    Step("d", "fourth", "x"),
)


def verdicts(**looks: object) -> dict[str, str]:
    return {each.step: each.verdict.value for each in walk((A, B, C, D), looks)}  # type: ignore[arg-type]


def test_what_needs_something_broken_is_not_looked_at_and_the_cause_is_named() -> None:
    looked = []
    looks = {
        "a": lambda: [fine("x")],
        "b": lambda: [broken("it is", "mend it")],
        "c": lambda: looked.append(1) or [fine("x")],
        "d": lambda: [doubtful("hm")],
    }
    found = list(walk((A, B, C, D), looks))
    assert [each.verdict.value for each in found] == ["ok", "broken", "not looked at", "warning"]
    assert (found[2].told, looked) == ("because of second", [])
    first = first_broken(found)
    assert first is not None
    assert (first.step, first.advice) == ("b", "mend it")


def test_what_others_found_closes_steps_too() -> None:
    before = [Finding.of(A, [broken("gone")])]
    (found,) = walk((C,), {"c": lambda: [fine("x")]}, [*before, Finding.of(B, [unseen("because of first")])])
    assert found.verdict == "ok", "an unseen step closes nothing by itself"
    (found,) = walk((B,), {"b": lambda: [fine("x")]}, before)
    assert found.told == "because of first"


def test_a_look_that_hangs_is_left_behind_in_time() -> None:
    waiting = threading.Event()
    begun = time.monotonic()
    (seen,) = within(0.05, lambda: [fine(str(waiting.wait(60)))])
    assert (seen.verdict, "could not be found out" in seen.told) == ("broken", True)
    assert time.monotonic() - begun < 30
    waiting.set()


def test_whatever_a_look_raises_is_told_and_never_ends_the_walk() -> None:
    def raising(error: BaseException) -> object:
        def look() -> list[object]:
            raise error

        return look

    told = {
        "StoreDamaged": StoreDamaged("torn", hint="restore"),
        "OSError": PermissionError(13, "Permission denied", "/x"),
        "ValueError": ValueError("surprise"),
    }
    for error in told.values():
        assert verdicts(a=raising(error), d=lambda: [fine("x")]) == {"a": "broken", "d": "ok"}
    (seen,) = within(5, raising(told["OSError"]))  # type: ignore[arg-type]
    assert seen.told == "/x: Permission denied"


def test_of_several_things_the_worst_are_told_and_the_first_advice() -> None:
    seen = [fine("a"), doubtful("b", "do b"), *(broken(f"c{n}", f"do c{n}") for n in range(5)), broken("c0")]
    found = Finding.of(A, seen)
    assert (found.told, found.advice) == ("c0; c1; c2; and 2 more", "do c0")
    assert Finding.parse(found.plain()) == found
    assert list(lines(found))[1].strip() == "-> do c0"


def test_what_it_comes_to() -> None:
    well = [Finding.of(A, [fine("x")])]
    assert list(summary(well)) == ["", "all is well"]
    assert list(summary([*well, Finding.of(B, [doubtful("x")])]))[1] == "nothing is broken; 1 warning"
    both = [Finding.of(A, [broken("gone\x1b[2J", "look")]), Finding.of(B, [broken("too")])]
    assert list(summary(both))[1:] == [
        "broken first: first: gone\\x1b[2J",
        "what to do:   look",
        "1 more step is broken, which may only follow from that",
    ]


def test_every_step_needs_only_steps_before_it() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for place, step in enumerate(STEPS):
        assert set(step.needs) <= set(names[:place]), step.name
        assert 0 < step.deadline_s <= 10
    assert sum(step.deadline_s for step in HOME_STEPS) < 100, "qekm waits so long for qekm-server"
    assert (*HOME_STEPS, *LINK_STEPS) == STEPS
