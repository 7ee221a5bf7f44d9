"""The owner of accounts: who has to wait, who is locked, and that no way of trying gets more tries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qekm.accounts import FREE, LOCK_US, MOST, MOST_WRONG, Accounts, actor_of, unguarded
from qekm.errors import (
    AccountExists,
    AccountLocked,
    BadArgument,
    NotAllowed,
    QekmError,
    TooMany,
    UnknownAccount,
)
from qekm.model import Account, Certificate, Removal, Role

ALICE = "administrator/alice"
SECOND_US = 1_000_000


@dataclass
class Time:
    """A time of day and a steady clock, which a restart of the machine sets back."""

    day_us: int = 10**15
    steady: float = 100.0

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.day_us += int(seconds * SECOND_US)
        self.steady += seconds


@dataclass
class Desk:
    """An owner of accounts, its time, and what was committed of it."""

    time: Time = field(default_factory=Time)
    stored: dict[str, Account] = field(default_factory=dict)
    owner: Accounts = field(init=False)

    def __post_init__(self) -> None:
        """Start."""
        self.restart()

    def restart(self) -> None:
        """Read the accounts again, as a start does."""
        self.owner = Accounts(self.stored.values(), lambda: self.time.day_us, lambda: self.time.steady)

    def keep(self, account: Account) -> Account:
        """Commit a change."""
        self.stored[account.actor] = account
        return account

    def fail(self, actor: str = ALICE) -> Account:
        """Make a wrong try, if one may be made."""
        self.owner.check(actor)
        return self.keep(self.owner.fail(actor))

    def wait(self, actor: str = ALICE) -> float:
        """Return how many seconds pass until the next try may be made."""
        passed = 0.0
        while True:
            try:
                self.owner.check(actor)
            except (TooMany, AccountLocked):
                self.time.pass_(0.5)
                passed += 0.5
            else:
                return passed


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.keep(made.owner.create(ALICE, b"verifier"))
    return made


def test_five_are_free_then_each_costs_twice_the_wait_and_the_tenth_locks(desk: Desk) -> None:
    waits = []
    for _ in range(MOST_WRONG):
        waits.append(desk.wait())
        desk.fail()
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16]
    with pytest.raises(AccountLocked) as caught:
        desk.owner.check(ALICE)
    assert caught.value.details["account"] == ALICE
    assert caught.value.details["until"] in caught.value.message
    assert desk.wait() == LOCK_US / SECOND_US


def test_after_a_lock_one_wrong_try_locks_again_until_a_right_one(desk: Desk) -> None:
    for _ in range(MOST_WRONG):
        desk.wait()
        desk.fail()
    for _ in range(3):
        desk.wait()
        assert desk.owner.is_locked(desk.fail())
    desk.wait()
    (account,) = desk.owner.succeed(ALICE)
    assert isinstance(account, Account)
    assert (account.wrong, account.locked_until_us, account.verifier) == (0, 0, b"verifier")
    for _ in range(FREE):
        desk.fail()


def test_a_lock_and_a_wait_outlive_a_restart(desk: Desk) -> None:
    for _ in range(FREE + 2):
        desk.wait()
        desk.fail()
    desk.time.steady = 3.0  # the machine was started anew
    desk.restart()
    with pytest.raises(TooMany, match="wait 4 s"):
        desk.owner.check(ALICE)
    while desk.owner.find(ALICE).wrong < MOST_WRONG:
        desk.wait()
        desk.fail()
    desk.restart()
    with pytest.raises(AccountLocked):
        desk.owner.check(ALICE)


def test_a_right_one_without_wrong_ones_before_it_writes_nothing(desk: Desk) -> None:
    assert desk.owner.succeed(ALICE) == []
    (account,) = desk.owner.succeed(ALICE, b"stronger")
    assert isinstance(account, Account) and account.verifier == b"stronger"
    assert account.password_time_us == desk.stored[ALICE].password_time_us


def lock(desk: Desk) -> None:
    """Try until there is a lock."""
    while not desk.owner.is_locked(desk.owner.find(ALICE)):
        desk.wait()
        desk.fail()


def test_another_password_ends_a_lock_and_forgets_the_tries(desk: Desk) -> None:
    lock(desk)
    changed = desk.owner.change(ALICE, b"another")
    assert (changed.wrong, changed.locked_until_us, changed.verifier) == (0, 0, b"another")
    desk.owner.check(ALICE)


def test_another_person_ends_a_lock_for_one_try_each_time(desk: Desk) -> None:
    lock(desk)
    for _ in range(3):
        assert desk.keep(desk.owner.unlock(ALICE)).locked_until_us == 0
        assert desk.wait() == 0
        assert desk.owner.is_locked(desk.fail())
        with pytest.raises(AccountLocked):
            desk.owner.check(ALICE)
    desk.owner.unlock(ALICE)
    (account,) = desk.owner.succeed(ALICE)
    assert isinstance(account, Account) and account.wrong == 0


def test_an_unlock_of_what_is_not_locked_forgets_no_try(desk: Desk) -> None:
    for _ in range(FREE + 1):
        desk.wait()
        desk.fail()
    assert desk.owner.unlock(ALICE).wrong == FREE + 1


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("days", [-200, 200])
def test_a_lock_lasts_as_long_however_the_clock_is_set(desk: Desk, days: int, restart: bool) -> None:
    """Set before the lock and put right after it; a restart, which knows the time of day only, is bounded."""
    step_us = days * 86_400 * SECOND_US
    desk.time.day_us += step_us
    lock(desk)
    desk.time.day_us -= step_us
    if restart:
        desk.restart()
    end_us = desk.owner.lock_end_us(desk.owner.find(ALICE))
    assert 0 < end_us - desk.time.day_us <= LOCK_US
    waited = desk.wait() * SECOND_US
    if restart and days < 0:  # its end is long ago: the wait of so many tries is left
        assert 0 < waited < LOCK_US
    else:
        assert waited == LOCK_US
    assert not desk.owner.is_locked(desk.owner.find(ALICE))


def test_the_waits_of_one_are_not_anothers(desk: Desk) -> None:
    desk.keep(desk.owner.create("operator/alice", b"v"))
    for _ in range(MOST_WRONG):
        desk.wait()
        desk.fail()
    desk.owner.check("operator/alice")


def test_who_has_none_is_unknown_and_who_has_one_gets_no_second(desk: Desk) -> None:
    nobody = "auditor/bob"
    for act in (desk.owner.find, desk.owner.check, desk.owner.fail, desk.owner.unlock, desk.owner.delete):
        with pytest.raises(UnknownAccount):
            act(nobody)
    assert nobody not in desk.owner and ALICE in desk.owner
    with pytest.raises(AccountExists):
        desk.owner.create(ALICE, b"another")
    assert desk.owner.find(ALICE).verifier == b"verifier"


def test_a_deleted_account_is_gone_and_a_new_one_starts_anew(desk: Desk) -> None:
    desk.fail()
    assert desk.owner.delete(ALICE) == Removal(Account, ALICE)
    assert ALICE not in desk.owner and list(desk.owner) == []
    assert desk.owner.create(ALICE, b"v").wrong == 0


def test_there_are_only_so_many(desk: Desk) -> None:
    for number in range(MOST - 1):
        desk.owner.create(f"operator/{number}", b"v")
    with pytest.raises(TooMany):
        desk.owner.check_new("operator/more")


def test_pages_are_in_order_and_whole(desk: Desk) -> None:
    for name in ("zoe", "bob", "mia"):
        desk.owner.create(f"auditor/{name}", b"v")
    everyone = [account.actor for account in desk.owner]
    assert everyone == sorted(everyone) == [ALICE, "auditor/bob", "auditor/mia", "auditor/zoe"]
    seen, last = list[str](), ""
    while page := desk.owner.page(last, 3):
        last = page[-1].actor
        seen += [account.actor for account in page]
    assert seen == everyone


@pytest.mark.parametrize("role", [Role.GATEWAY, Role.SERVER])
def test_a_machine_has_no_password(role: Role) -> None:
    with pytest.raises(NotAllowed) as caught:
        actor_of(role, "gateway")
    assert caught.value.details["role"] == role.name.lower()


@pytest.mark.parametrize("name", ["", "a/b", " alice", "x" * 65, "line\nline"])
def test_a_name_is_one_that_stands_in_a_certificate(name: str) -> None:
    with pytest.raises(BadArgument):
        actor_of(Role.OPERATOR, name)


def test_administrators_in_force_without_a_password_are_told_of(desk: Desk) -> None:
    def certificate(role: Role, name: str, **more: int) -> Certificate:
        return replace(Certificate("aa", role, name, 0, 100, b""), **more)  # type: ignore[arg-type]

    certificates = [
        certificate(Role.ADMINISTRATOR, "alice"),
        certificate(Role.ADMINISTRATOR, "bob"),
        certificate(Role.ADMINISTRATOR, "bob"),
        certificate(Role.ADMINISTRATOR, "gone", revoke_time_us=5),
        certificate(Role.ADMINISTRATOR, "over", expire_time_us=10),
        certificate(Role.OPERATOR, "olga"),
    ]
    assert list(unguarded(desk.owner, certificates, 50)) == [
        "administrator/bob has no command password: its certificate alone is enough"
    ]


class Guessing(RuleBasedStateMachine):
    """Somebody has a certificate and guesses, however he likes: waits, restarts, clocks of a new machine."""

    @initialize()
    def begin(self) -> None:
        """Make the account."""
        self.desk = Desk()
        self.desk.keep(self.desk.owner.create(ALICE, b"verifier"))
        self.begun_us = self.desk.time.day_us
        self.tries: list[int] = []
        self.unlocks = 0

    @rule(count=st.integers(1, 30))
    def guess(self, count: int) -> None:
        """Try as often as is allowed, at once."""
        for _ in range(count):
            try:
                self.desk.fail()
            except (TooMany, AccountLocked):
                return
            self.tries.append(self.desk.time.day_us)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1, 3, 17, 60, 600, 899, 900, 901, 4_000]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.desk.time.pass_(seconds)

    @rule()
    def unlock(self) -> None:
        """Have the lock ended by another person."""
        self.desk.keep(self.desk.owner.unlock(ALICE))
        self.unlocks += 1

    @rule(steady=st.floats(0, 1e6))
    def restart(self, steady: float) -> None:
        """Start the service anew, perhaps with its machine."""
        self.desk.time.steady = steady
        self.desk.restart()

    @invariant()
    def few_tries(self) -> None:
        """Ten for a start, then one in each quarter of an hour and for each unlock; no two in a second."""
        if not hasattr(self, "tries"):
            return
        passed_us = self.desk.time.day_us - self.begun_us
        assert len(self.tries) <= MOST_WRONG + passed_us // LOCK_US + self.unlocks
        late = self.tries[FREE - 1 :]
        assert self.unlocks or all(after - before >= SECOND_US for before, after in pairwise(late))


TestGuessing = Guessing.TestCase
TestGuessing.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_the_machine_finds_an_owner_that_forgets() -> None:
    """Control: a count that a restart ends gives more tries, and the invariant says so."""
    desk = Desk()
    desk.keep(desk.owner.create(ALICE, b"verifier"))
    tries = 0
    for _ in range(4):
        for _ in range(FREE):
            desk.fail()
            tries += 1
        desk.stored[ALICE] = replace(desk.stored[ALICE], wrong=0)  # not written
        desk.restart()
    assert tries > MOST_WRONG


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["fail", "succeed", "wait", "restart"]), max_size=40))
def test_memory_and_store_never_differ(acts: list[str]) -> None:
    desk = Desk()
    desk.keep(desk.owner.create(ALICE, b"verifier"))
    for act in acts:
        try:
            if act == "fail":
                desk.fail()
            elif act == "succeed":
                desk.owner.check(ALICE)
                for change in desk.owner.succeed(ALICE):
                    assert isinstance(change, Account)
                    desk.keep(change)
            elif act == "wait":
                desk.time.pass_(5)
            else:
                desk.restart()
        except QekmError as error:
            assert isinstance(error, TooMany | AccountLocked)
        assert desk.owner.find(ALICE) == desk.stored[ALICE]
