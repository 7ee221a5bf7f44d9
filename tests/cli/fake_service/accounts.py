"""The fake of the accounts service: passwords in clear, and sessions that are numbers."""

from __future__ import annotations

from typing import Any

from qekm.errors import BadPassword, PasswordNeeded, QekmError, UnknownAccount
from qekm.v1 import accounts_pb2, certificates_pb2

from .parts import moment, page_of

ADMINISTRATOR = (certificates_pb2.ROLE_ADMINISTRATOR, "administrator")


class FakeAccounts:
    """Who has which password; whoever calls is administrator/administrator."""

    def __init__(self) -> None:
        self.passwords: dict[tuple[Any, str], bytes] = {}
        self.locked: set[tuple[Any, str]] = set()
        self.sessions: set[bytes] = set()
        self.session = b""  # that of the client
        self.logins: list[bytes] = []
        self.refusal: QekmError | None = None

    def check(self) -> None:
        """Let in who needs no password or has a session."""
        if ADMINISTRATOR in self.passwords and self.session not in self.sessions:
            raise PasswordNeeded("administrator/administrator has a command password")

    def account(self, who: tuple[Any, str]) -> accounts_pb2.Account:
        """Return an account as a message."""
        lock = {"lock_time": moment(900)} if who in self.locked else {}
        return accounts_pb2.Account(
            role=who[0], name=who[1], create_time=moment(), password_time=moment(), **lock
        )

    def Login(self, request: Any) -> Any:
        """Open a session for the right password."""
        self.logins.append(request.password)
        if request.password != self.passwords.get(ADMINISTRATOR):
            raise BadPassword("this is not the command password of administrator/administrator")
        self.sessions.add(session := bytes([len(self.logins)]) * 32)
        return accounts_pb2.LoginResponse(session=session, expire_time=moment(900_000_000))

    def Logout(self, request: Any, timeout: float | None = None) -> Any:
        """End the client's session."""
        self.sessions.discard(self.session)
        return accounts_pb2.LogoutResponse()

    def GetSession(self, request: Any, timeout: float | None = None) -> Any:
        """Tell who calls."""
        self.check()
        account = ADMINISTRATOR in self.passwords
        until = {"expire_time": moment(900)} if account else {}
        return accounts_pb2.GetSessionResponse(actor="administrator/administrator", account=account, **until)

    def ListAccounts(self, request: Any) -> Any:
        """Answer a page of accounts."""
        found, token = page_of([self.account(who) for who in sorted(self.passwords)], request)
        return accounts_pb2.ListAccountsResponse(accounts=found, next_page_token=token)

    def CreateAccount(self, request: Any) -> Any:
        """Add a password."""
        return accounts_pb2.CreateAccountResponse(account=self._set(request))

    def UpdateOwnPassword(self, request: Any) -> Any:
        """Change the administrator's."""
        if self.passwords.get(ADMINISTRATOR, b"") != request.old_password:
            raise BadPassword("this is not the command password of administrator/administrator")
        self.passwords[ADMINISTRATOR] = request.new_password
        self.sessions.clear()
        return accounts_pb2.UpdateOwnPasswordResponse()

    def ResetPassword(self, request: Any) -> Any:
        """Change another's."""
        return accounts_pb2.ResetPasswordResponse(account=self._set(request))

    def UnlockAccount(self, request: Any) -> Any:
        """End a lock."""
        self.locked.discard((request.role, request.name))
        return accounts_pb2.UnlockAccountResponse(account=self.account((request.role, request.name)))

    def DeleteAccount(self, request: Any) -> Any:
        """Take a password away."""
        if self.refusal:
            raise self.refusal
        if self.passwords.pop((request.role, request.name), None) is None:
            raise UnknownAccount("no such account")
        return accounts_pb2.DeleteAccountResponse()

    def _set(self, request: Any) -> accounts_pb2.Account:
        if self.refusal:
            raise self.refusal
        self.passwords[(request.role, request.name)] = request.password
        return self.account((request.role, request.name))
