"""What an act needs that one person may not do alone: a second one's consent, asked for and used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.approvals import Act, Approvals
from qekm.errors import ApprovalNeeded
from qekm.model import Change, Outcome

OFF = "twoPerson=off"  # in the record of every act that nobody else had to approve


@dataclass(frozen=True, slots=True)
class Consent:
    """An act may be done now. `changes` are to be committed with it, in the same unit."""

    changes: tuple[Change, ...] = ()
    note: str = ""

    def told(self, what: str) -> str:
        """Return a message of the act's audit record with who consented, or that nobody had to."""
        return f"{what}; {self.note}" if self.note else what


class Consents:
    """Asks for a second person in the name of whoever makes the call."""

    def __init__(self, approvals: Approvals, journal: Journal, count: Callable[[], int]) -> None:
        """`count` tells how many persons there are who may approve."""
        self._approvals, self._journal, self._count = approvals, journal, count

    async def require(self, method: str, act: Act) -> Consent:
        """Return the consent to an act of the caller; else file a request, and raise ApprovalNeeded.

        To be called when nothing else can be wrong with the act, and before anything of it is changed;
        nothing is awaited where a consent is returned. A request and its record are durable before the error
        leaves, also when the very same was asked for before. TooMany, StoreFailed.
        """
        if not self._approvals.two_person:
            return Consent(note=OFF)
        who = caller().actor
        used = self._approvals.use(act, who)
        if used is not None:
            return Consent((used,), f"approved by {used.decider}, request {used.approval_id}")
        return await self._ask(method, act, who)

    async def require_of_two(self, method: str, act: Act) -> Consent:
        """Return the consent to an act that is free while one person is alone; as `require` else.

        For what a key manager is set up with: certificates of people, authorities of drives.
        """
        return await self.require(method, act) if self._count() >= 2 else Consent()

    async def ready(self, method: str, act: Act) -> str:
        """Return the id of the approval that the caller has of an act, not used up; as `require` else.

        Empty where nobody has to consent. For an act that is done, and uses it up, with the service stopped.
        """
        if not self._approvals.two_person:
            return ""
        who = caller().actor
        approved = self._approvals.approved(act, who)
        if approved is not None:
            return approved.approval_id
        return await self._ask(method, act, who)

    async def _ask(self, method: str, act: Act, who: str) -> NoReturn:
        """File a request, unless there is one, and raise ApprovalNeeded."""
        asked = self._approvals.ask(act, who)
        told = f"request {asked.approval_id} waits for a second person: {asked.summary}"
        await self._journal.commit(method, [asked], outcome=Outcome.INTENT, message=told)
        raise ApprovalNeeded(
            f"a second person must approve this: {asked.summary}",
            hint=f"another person approves it with: qekm approvals approve {asked.approval_id}; "
            "then run this again",
            approval=asked.approval_id,
        )
