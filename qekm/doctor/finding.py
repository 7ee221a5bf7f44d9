"""What a step has found: the nouns of the doctor, and their one form as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qekm.doctor.steps import Step

MOST = 3  # of what is wrong in one step, told in its line; all of it is in the document


class Verdict(StrEnum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    UNSEEN = "not looked at"


_WEIGHT = {Verdict.UNSEEN: 0, Verdict.OK: 1, Verdict.WARNING: 2, Verdict.BROKEN: 3}


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a step has seen, and what to do about it."""

    verdict: Verdict
    told: str
    advice: str = ""


def fine(told: str) -> Seen:
    """Return that something is as it should be."""
    return Seen(Verdict.OK, told)


def doubtful(told: str, advice: str = "") -> Seen:
    """Return that something will be, or could be, a trouble."""
    return Seen(Verdict.WARNING, told, advice)


def broken(told: str, advice: str = "") -> Seen:
    """Return that something is broken."""
    return Seen(Verdict.BROKEN, told, advice)


def unseen(told: str, advice: str = "") -> Seen:
    """Return that something could not be looked at, or is not to be."""
    return Seen(Verdict.UNSEEN, told, advice)


@dataclass(frozen=True, slots=True)
class Finding:
    """How a step ended: the worst of what was seen, and what to do about the first such thing."""

    step: str
    title: str
    verdict: Verdict
    seen: tuple[str, ...]  # of the worst kind, all of it
    advice: str = ""

    @classmethod
    def of(cls, step: Step, seen: Iterable[Seen]) -> Finding:
        """Weigh what a step has seen; nothing at all is fine."""
        found = list(seen) or [fine("nothing is wrong")]
        worst = max((each.verdict for each in found), key=_WEIGHT.__getitem__)
        told = [each for each in found if each.verdict is worst]
        advice = next((each.advice for each in told if each.advice), "")
        return cls(step.name, step.title, worst, tuple(dict.fromkeys(each.told for each in told)), advice)

    @property
    def told(self) -> str:
        """Return what was seen in one line."""
        left = len(self.seen) - MOST
        more = [f"and {left} more"] if left > 0 else []
        return "; ".join([*self.seen[:MOST], *more])

    def plain(self) -> dict[str, Any]:
        """Return the finding's form in a document."""
        return {
            "step": self.step,
            "title": self.title,
            "verdict": self.verdict.value,
            "seen": list(self.seen),
            "advice": self.advice,
        }

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Finding:
        """Return a finding from its form; ValueError, KeyError, TypeError."""
        seen = tuple(str(each) for each in told["seen"])
        return cls(str(told["step"]), str(told["title"]), Verdict(told["verdict"]), seen, str(told["advice"]))


def first_broken(findings: Iterable[Finding]) -> Finding | None:
    """Return the first thing that is broken: what comes after it may only follow from it."""
    return next((each for each in findings if each.verdict is Verdict.BROKEN), None)
