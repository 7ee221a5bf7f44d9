"""Own the requests for a second person: who asked for exactly what, who decided, and that it is used once.

Memory only: what changes is returned. Requests are kept in the store for ever; here are those that still
matter and the last ones that are over.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from qekm.errors import SameSubject, TooMany, UnknownApproval
from qekm.model import Approval, ApprovalState, Certificate, Role
from qekm.sealing.seals import Value, encoded

LIFE_US = 24 * 3_600 * 1_000_000
MOST_PENDING = 32  # of one requester
KEPT = 1_000  # requests that are over and still listed
DECIDERS = frozenset({Role.ADMINISTRATOR, Role.CUSTODIAN})
# A person whose certificates were revoked counts for so long: else revoking the only other one would be a
# way to be alone, and alone one may make oneself a second person.
REMEMBERED_US = 7 * 86_400 * 1_000_000

Parameter = Value | Sequence[Value]


@dataclass(frozen=True, slots=True)
class Act:
    """What one person may not do alone: a digest of all that is asked, and one line that tells it."""

    action: str  # destroy, export, restore, certificate
    digest: bytes  # SHA-256
    summary: str

    @classmethod
    def of(cls, action: str, summary: str, *parameters: Parameter) -> Act:
        """Return the act of these parameters; others, or in another order, are another act."""
        values = (value for parameter in parameters for value in _flat(parameter))
        return cls(action, hashlib.sha256(encoded(("QEKM ACT 1", action, *values))).digest(), summary)


def _flat(parameter: Parameter) -> Iterator[Value]:
    if parameter is None or isinstance(parameter, int | str | bytes):
        yield from ("one", parameter)
    else:
        yield from ("list", len(parameter), *parameter)


def person(actor: str) -> str:
    """Return whose certificate an actor (role/name) shows: one name is one person, whatever the role."""
    return actor.partition("/")[2].casefold()


def people(certificates: Iterable[Certificate], now_us: int) -> set[str]:
    """Return the persons who may ask and approve, those included who were revoked a short time ago."""
    return {
        each.name.casefold()
        for each in certificates
        if each.role in DECIDERS and (not each.revoke_time_us or now_us < each.revoke_time_us + REMEMBERED_US)
    }


class Approvals:
    """The requests by id; `two_person` tells whether anything needs one."""

    def __init__(
        self,
        stored: Iterable[Approval],
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        two_person: bool = True,
    ) -> None:
        self.two_person = two_person
        self._now_us, self._random_bytes = now_us, random_bytes
        ordered = sorted(stored, key=lambda each: (each.create_time_us, each.approval_id))
        # No id is drawn twice: a row of the store would be overwritten, and with it what was decided.
        self._ids = {each.approval_id for each in ordered}
        self._known = {each.approval_id: each for each in ordered}
        self._forget()

    def find(self, approval_id: str) -> Approval:
        """Return a request; UnknownApproval."""
        found = self._known.get(approval_id.lower())
        if found is None:
            raise UnknownApproval(f"there is no request {approval_id[:64]!r}", approval=approval_id[:64])
        return found

    def page(self, after: str = "", limit: int = 100, *, over: bool = False) -> list[Approval]:
        """Return at most `limit` requests, newest first, that follow the one of an id; `over`: ended too."""
        newest = [each for each in reversed(self._known.values()) if over or not self._is_over(each)]
        ids = [each.approval_id for each in newest]
        start = ids.index(after) + 1 if after in ids else len(ids) if after else 0
        return newest[start : start + limit]

    # Who asks.

    def approved(self, act: Act, requester: str) -> Approval | None:
        """Return the approval of an act, if its requester has one."""
        return self._like(act, requester, ApprovalState.APPROVED)

    def use(self, act: Act, requester: str) -> Approval | None:
        """Use the approval of an act up, if its requester has one; to be committed with the act itself."""
        approved = self.approved(act, requester)
        return None if approved is None else self._put(replace(approved, state=ApprovalState.USED))

    def ask(self, act: Act, requester: str) -> Approval:
        """Return the request that waits for this act, a new one unless there is one; TooMany."""
        pending = self._like(act, requester, ApprovalState.PENDING)
        if pending is not None:
            return pending
        own = [each for each in self._known.values() if each.requester == requester]
        if sum(self._waits(each) for each in own) >= MOST_PENDING:
            hint = "take some back with: qekm approvals refuse"
            told = f"{MOST_PENDING} requests of {requester} wait for a second person"
            raise TooMany(told, hint=hint, limit=str(MOST_PENDING))
        now_us = self._now_us()
        made = Approval(
            self._new_id(), act.action, act.digest, act.summary, requester, now_us, now_us + LIFE_US
        )
        self._ids.add(made.approval_id)
        self._put(made)
        self._forget()
        return made

    # Who decides.

    def grant(self, approval_id: str, decider: str, issued_us: int) -> Approval:
        """Approve a request of somebody else's; issued_us: when the decider's certificate was made.

        SameSubject for whoever asked, by any certificate, and for a certificate that is younger than the
        request: whoever needs a second person could make one. UnknownApproval unless it waits.
        """
        pending = self._undecided(approval_id, ApprovalState.PENDING)
        _check_other(pending, decider, issued_us)
        return self._decide(pending, ApprovalState.APPROVED, decider)

    def refuse(self, approval_id: str, decider: str) -> Approval:
        """Refuse a request that was not used yet, or take one's own back; UnknownApproval."""
        undecided = self._undecided(approval_id, ApprovalState.PENDING, ApprovalState.APPROVED)
        return self._decide(undecided, ApprovalState.REFUSED, decider)

    # Who does what another asked for: letting a server in that another one invited.

    def check_second(self, act: Act, who: str, issued_us: int) -> Approval:
        """Return the request of an act that somebody may do who did not ask for it; SameSubject as `grant`.

        The one who asked may do it, too, once another has approved. UnknownApproval if nobody asked.
        """
        asked = self._of(act)
        if not asked:
            hint = "ask for it again; a request that was refused or is a day old counts no more"
            raise UnknownApproval(f"nobody has asked for this: {act.summary}", hint=hint, approval="")
        if asked[0].state is ApprovalState.PENDING:
            _check_other(asked[0], who, issued_us)
        return asked[0]

    def second(self, act: Act, who: str, issued_us: int) -> Approval:
        """Use a request up, by doing what it asks for; errors as `check_second`."""
        asked = self.check_second(act, who, issued_us)
        if asked.state is ApprovalState.PENDING:
            asked = self._decide(asked, ApprovalState.APPROVED, who)
        return self._put(replace(asked, state=ApprovalState.USED))

    def withdraw(self, act: Act, who: str) -> list[Approval]:
        """Refuse all requests of an act that nobody wants any more."""
        return [self._decide(each, ApprovalState.REFUSED, who) for each in self._of(act)]

    def _of(self, act: Act) -> list[Approval]:
        """Return the requests of exactly this act that can be used, whoever asked; approved ones first."""
        states = (ApprovalState.APPROVED, ApprovalState.PENDING)
        found = [
            each
            for each in self._known.values()
            if each.action == act.action and each.state in states and not self._is_over(each)
            if hmac.compare_digest(each.digest, act.digest)
        ]
        return sorted(found, key=lambda each: states.index(each.state))

    def _decide(self, approval: Approval, state: ApprovalState, decider: str) -> Approval:
        return self._put(replace(approval, state=state, decider=decider, decide_time_us=self._now_us()))

    def _undecided(self, approval_id: str, *states: ApprovalState) -> Approval:
        found = self.find(approval_id)
        if found.state not in states or self._is_over(found):
            how = "has ended" if found.state in states else f"is {found.state.name.lower()} already"
            raise UnknownApproval(f"request {found.approval_id} {how}", approval=found.approval_id)
        return found

    def _like(self, act: Act, requester: str, state: ApprovalState) -> Approval | None:
        """Return a requester's request of exactly this act that is in a state and not over."""
        for each in self._known.values():
            same = (each.requester, each.action, each.state) == (requester, act.action, state)
            if same and hmac.compare_digest(each.digest, act.digest) and not self._is_over(each):
                return each
        return None

    def _put(self, approval: Approval) -> Approval:
        self._known[approval.approval_id] = approval
        return approval

    def _new_id(self) -> str:
        while (drawn := self._random_bytes(4).hex()) in self._ids:
            pass
        return drawn

    def _waits(self, approval: Approval) -> bool:
        return approval.state is ApprovalState.PENDING and not self._is_over(approval)

    def _is_over(self, approval: Approval) -> bool:
        ended = approval.state in (ApprovalState.REFUSED, ApprovalState.USED)
        return ended or approval.expire_time_us <= self._now_us()

    def _forget(self) -> None:
        """Keep no more than the last ones of those that are over."""
        over = [each.approval_id for each in self._known.values() if self._is_over(each)]
        for approval_id in over[:-KEPT]:
            del self._known[approval_id]


def _check_other(pending: Approval, decider: str, issued_us: int) -> None:
    """Raise SameSubject for who asked, and for a certificate that is younger than the request."""
    if person(decider) == person(pending.requester):
        raise SameSubject(
            f"{pending.requester} asked for this and cannot approve it", approval=pending.approval_id
        )
    if issued_us > pending.create_time_us:
        raise SameSubject(
            f"the certificate of {decider} was made after request {pending.approval_id}",
            hint="let it be refused and asked for again",
            approval=pending.approval_id,
        )
