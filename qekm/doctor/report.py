"""What people read of an examination. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qekm.doctor.finding import Finding, Verdict, first_broken
from qekm.text import printable

_MARKS = {Verdict.OK: "ok", Verdict.WARNING: "WARNING", Verdict.BROKEN: "BROKEN", Verdict.UNSEEN: "-"}


def lines(finding: Finding) -> Iterator[str]:
    """Yield a step's line, and what to do."""
    yield printable(f"{_MARKS[finding.verdict]:<8} {finding.title:<16} {finding.told}")
    if finding.advice and finding.verdict is not Verdict.OK:
        yield printable(f"{'':<8} {'':<16} -> {finding.advice}")


def summary(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what it comes to."""
    broken, warnings = first_broken(findings), _count(findings, Verdict.WARNING)
    yield ""
    if broken is None:
        told = f"{warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
        yield f"nothing is broken; {told}" if warnings else "all is well"
        return
    yield printable(f"broken first: {broken.title}: {broken.told}")
    if broken.advice:
        yield printable(f"what to do:   {broken.advice}")
    if (more := _count(findings, Verdict.BROKEN) - 1) > 0:
        yield f"{more} more {'steps are' if more > 1 else 'step is'} broken, which may only follow from that"


def _count(findings: Sequence[Finding], verdict: Verdict) -> int:
    return sum(each.verdict is verdict for each in findings)
