"""AccountsService: command passwords, and the sessions that they open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qekm.accounts import Accounts, actor_of
from qekm.api.consent import Consent, Consents
from qekm.api.fields import chosen, stamp
from qekm.api.guard import caller, session_of
from qekm.api.journal import Journal
from qekm.api.logins import Logins
from qekm.api.paging import Paged, cut
from qekm.approvals import DECIDERS, Act, person
from qekm.errors import SameSubject
from qekm.model import Account, Role
from qekm.secret import Secret
from qekm.sessions import Sessions
from qekm.v1 import accounts_pb2 as pb
from qekm.v1.accounts_pb2_grpc import AccountsServiceServicer
from qekm.v1.certificates_pb2 import Role as ProtoRole


class AccountsServicer(AccountsServiceServicer):
    """Thin: the owners decide, logins try passwords, the journal commits."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        logins: Logins,
        journal: Journal,
        consents: Consents,
        now_us: Callable[[], int],
    ) -> None:
        self._accounts, self._sessions, self._logins = accounts, sessions, logins
        self._journal, self._consents, self._now_us = journal, consents, now_us

    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.LoginResponse:
        """Open a session; UnknownAccount, BadPassword, AccountLocked, TooMany."""
        session = await self._logins.login(Secret(request.password))
        return pb.LoginResponse(session=session, expire_time=self._end_of(session))

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        """End the session of this call, and close the keystore for the caller."""
        self._logins.leave(session_of(context))
        await self._journal.commit("Logout", ())
        return pb.LogoutResponse()

    async def GetSession(self, request: pb.GetSessionRequest, context: Any) -> pb.GetSessionResponse:
        """Tell who calls."""
        actor = caller().actor
        account = actor in self._accounts
        end = self._end_of(session_of(context)) if account else None
        return pb.GetSessionResponse(actor=actor, account=account, expire_time=end)

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Any) -> pb.ListAccountsResponse:
        """List the accounts, by role and name."""
        page = Paged.of(request)
        found = self._accounts.page(page.text, page.size + 1)
        rows, token = cut(page, found, lambda account: account.actor)
        return pb.ListAccountsResponse(accounts=map(self._to_proto, rows), next_page_token=token)

    async def CreateAccount(self, request: pb.CreateAccountRequest, context: Any) -> pb.CreateAccountResponse:
        """Give a person a password, whose certificate may still be to come; AccountExists, ApprovalNeeded."""
        actor = _named(request)
        self._accounts.check_new(actor)
        verifier = await self._logins.verifier(Secret(request.password))
        self._accounts.check_new(actor)
        consent = await self._consent("CreateAccount", "give a command password to", actor)
        account = self._accounts.create(actor, verifier)
        await self._journal.commit("CreateAccount", [*consent.changes, account], message=consent.told(actor))
        return pb.CreateAccountResponse(account=self._to_proto(account))

    async def UpdateOwnPassword(
        self, request: pb.UpdateOwnPasswordRequest, context: Any
    ) -> pb.UpdateOwnPasswordResponse:
        """Change the caller's password, or set his first; errors as Login, and BadPassword for a new one."""
        actor = caller().actor
        if actor in self._accounts or request.old_password:
            await self._logins.change(Secret(request.old_password), Secret(request.new_password))
            return pb.UpdateOwnPasswordResponse()
        verifier = await self._logins.verifier(Secret(request.new_password))
        account = self._accounts.create(actor, verifier)
        await self._journal.commit("UpdateOwnPassword", [account], message="the first one")
        return pb.UpdateOwnPasswordResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Any) -> pb.ResetPasswordResponse:
        """Set another person's password and end his sessions; UnknownAccount, SameSubject, ApprovalNeeded."""
        actor = self._another(_named(request), "change it with the old one: qekm accounts passwd")
        verifier = await self._logins.verifier(Secret(request.password))
        self._accounts.find(actor)
        consent = await self._consent("ResetPassword", "set another command password of", actor)
        account = self._accounts.change(actor, verifier)
        self._logins.end(actor)
        await self._journal.commit("ResetPassword", [*consent.changes, account], message=consent.told(actor))
        return pb.ResetPasswordResponse(account=self._to_proto(account))

    async def UnlockAccount(self, request: pb.UnlockAccountRequest, context: Any) -> pb.UnlockAccountResponse:
        """End another person's lock for one more try; UnknownAccount, SameSubject, ApprovalNeeded."""
        actor = self._another(_named(request), "another administrator can end it; else wait")
        consent = await self._consent("UnlockAccount", "allow one more try at the command password of", actor)
        account = self._accounts.unlock(actor)
        await self._journal.commit("UnlockAccount", [*consent.changes, account], message=consent.told(actor))
        return pb.UnlockAccountResponse(account=self._to_proto(account))

    async def DeleteAccount(self, request: pb.DeleteAccountRequest, context: Any) -> pb.DeleteAccountResponse:
        """Take another person's password away; UnknownAccount, SameSubject, ApprovalNeeded."""
        actor = self._another(_named(request), "another administrator can")
        consent = await self._consent("DeleteAccount", "take the command password from", actor)
        removal = self._accounts.delete(actor)
        self._logins.end(actor)
        await self._journal.commit("DeleteAccount", [*consent.changes, removal], message=consent.told(actor))
        return pb.DeleteAccountResponse()

    def _another(self, actor: str, hint: str) -> str:
        """Return a person who has an account and does not call himself; UnknownAccount, SameSubject.

        Else a stolen session would be worth the password, and a lock no lock to who can call.
        """
        own = caller().actor
        if person(actor) == person(own):
            raise SameSubject(f"{own} cannot do this to {actor}", hint=hint)
        return self._accounts.find(actor).actor

    async def _consent(self, method: str, what: str, actor: str) -> Consent:
        """Return the consent to what is done to another's account; ApprovalNeeded.

        Whoever sets the password of somebody who may approve, or guesses at it without a lock, could with
        that one's certificate be his own second person. The password is no part of what is asked: nothing
        quick to guess it by may be stored.
        """
        role = Role[actor.partition("/")[0].upper()]
        if role not in DECIDERS or actor == caller().actor:
            return Consent()
        summary = f"{what} {actor}"
        return await self._consents.require_of_two(method, Act.of("account", summary, method, actor))

    def _end_of(self, session: bytes) -> Any:
        left_us = int(self._sessions.left_s(caller().actor, session) * 1e6)
        return stamp(self._now_us() + left_us)

    def _to_proto(self, account: Account) -> pb.Account:
        return pb.Account(
            role=ProtoRole.ValueType(account.role),
            name=account.name,
            create_time=stamp(account.create_time_us),
            password_time=stamp(account.password_time_us),
            lock_time=stamp(self._accounts.lock_end_us(account)),
        )


_Naming = (
    pb.CreateAccountRequest | pb.ResetPasswordRequest | pb.UnlockAccountRequest | pb.DeleteAccountRequest
)


def _named(request: _Naming) -> str:
    """Return whom a request names, role/name; BadArgument, NotAllowed."""
    return actor_of(chosen(Role, request.role, "role"), request.name)
