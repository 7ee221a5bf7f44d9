"""`qekm accounts`: command passwords. An account is the password of a person's certificate."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qekm.errors import BadArgument, PasswordNeeded, UnknownAccount
from qekm_cli.commands import Guarded, Noun
from qekm_cli.connection import client_of, invocation_of
from qekm_cli.passwords import (
    NEW_OPTIONS,
    NewDescriptorOption,
    NewFileOption,
    command_password,
    read_password,
)
from qekm_cli.render import Column, Plain, done, listing, pages, plain
from qekm_cli.session_file import SessionFile

if TYPE_CHECKING:
    from pathlib import Path

    from qekm.client import Client

app = Noun()

Role = Literal["administrator", "operator", "auditor", "custodian"]
NameArgument = Annotated[str, typer.Argument(help="Name in the person's certificate.", metavar="NAME")]
RoleOption = Annotated[
    Role | None, typer.Option("--role", help="Role, where a name has several.", metavar="ROLE")
]
LIST = (
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("PASSWORD SET", "password_time"),
    Column("LOCKED UNTIL", "lock_time"),
)


@app.command("list")
def list_accounts(context: typer.Context) -> None:
    """List who has a command password."""
    with client_of(context) as client:
        listing(context, "accounts", _accounts(client), LIST)


@app.command("add", kind=Guarded)
def add_account(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[Role, typer.Option("--role", help="Role in the certificate.", metavar="ROLE")],
    new_password_file: NewFileOption = None,
    new_password_fd: NewDescriptorOption = None,
) -> None:
    """Give a person's certificate a command password.

    The password is needed from then on; whoever got it changes it with: qekm accounts passwd.
    """
    from qekm.v1 import accounts_pb2 as pb

    with client_of(context) as client:
        _prove(client)
        password = _new_password(f"{role}/{name}", new_password_file, new_password_fd)
        request = pb.CreateAccountRequest(role=_number(role), name=name, password=password.encode())
        row = plain(client.accounts.CreateAccount(request).account)
        has_certificate = _has_certificate(client, role, name)
    done(context, {**row, "certificate": has_certificate}, f"{role}/{name} has a command password now")
    if not has_certificate:
        issue = f"qekm certificates issue {role} {name} --client-home DIR"
        print(
            f"qekm: {role}/{name} has no certificate in force yet; issue one with: {issue}", file=sys.stderr
        )


@app.command("passwd", kind=Guarded)
def change_password(
    context: typer.Context,
    new_password_file: NewFileOption = None,
    new_password_fd: NewDescriptorOption = None,
) -> None:
    """Change one's own command password, or set a first one; it ends every session of one's own."""
    from qekm.v1 import accounts_pb2 as pb

    kept = SessionFile.of(context)
    with client_of(context, asking=False) as client:
        old = command_password(invocation_of(context), kept.identity) if _has_account(client) else ""
        new = _new_password(kept.identity, new_password_file, new_password_fd)
        request = pb.UpdateOwnPasswordRequest(old_password=old.encode(), new_password=new.encode())
        client.accounts.UpdateOwnPassword(request)
    kept.forget()
    done(context, {"identity": kept.identity}, f"the command password of {kept.identity} is changed")


@app.command("reset", kind=Guarded)
def reset_password(
    context: typer.Context,
    name: NameArgument,
    role: RoleOption = None,
    new_password_file: NewFileOption = None,
    new_password_fd: NewDescriptorOption = None,
) -> None:
    """Set the command password of somebody who forgot it; takes a second person for some roles."""
    from qekm.v1 import accounts_pb2 as pb

    with client_of(context) as client:
        found = _find(client, name, role)
        password = _new_password(f"{found}/{name}", new_password_file, new_password_fd)
        request = pb.ResetPasswordRequest(role=_number(found), name=name, password=password.encode())
        row = plain(client.accounts.ResetPassword(request).account)
    done(context, row, f"{found}/{name} has a new command password")


@app.command("unlock")
def unlock_account(context: typer.Context, name: NameArgument, role: RoleOption = None) -> None:
    """End the lock that wrong passwords brought, for one more try; takes a second person for some roles."""
    from qekm.v1 import accounts_pb2 as pb

    with client_of(context) as client:
        found = _find(client, name, role)
        request = pb.UnlockAccountRequest(role=_number(found), name=name)
        row = plain(client.accounts.UnlockAccount(request).account)
    done(context, row, f"{found}/{name} may try its password once more")


@app.command("remove")
def remove_account(context: typer.Context, name: NameArgument, role: RoleOption = None) -> None:
    """Take a command password away: the certificate alone is enough then, on the key manager's machine."""
    from qekm.v1 import accounts_pb2 as pb

    with client_of(context) as client:
        found = _find(client, name, role)
        client.accounts.DeleteAccount(pb.DeleteAccountRequest(role=_number(found), name=name))
    done(context, {"role": found, "name": name}, f"{found}/{name} has no command password any more")


def _accounts(client: Client) -> Any:
    from qekm.v1 import accounts_pb2 as pb

    return map(plain, pages(client.accounts.ListAccounts, pb.ListAccountsRequest(), "accounts"))


def _find(client: Client, name: str, role: str | None) -> str:
    """Return the role of the one account of a name; UnknownAccount, BadArgument if there are several."""
    roles: list[str] = [row["role"] for row in _accounts(client) if row["name"] == name]
    if not roles or (role and role not in roles):
        who = f"{role}/{name}" if role else name
        raise UnknownAccount(f"{who} has no command password", account=who)
    if role is None and len(roles) > 1:
        told = " and ".join(roles)
        raise BadArgument(f"{name} has accounts as {told}: say which with --role", field="role")
    return role or roles[0]


def _has_account(client: Client) -> bool:
    """Tell whether whoever calls has a command password already."""
    from qekm.v1 import accounts_pb2 as pb

    try:
        return bool(client.accounts.GetSession(pb.GetSessionRequest()).account)
    except PasswordNeeded:
        return True


def _prove(client: Client) -> None:
    """Have the own password asked for before that of somebody else is."""
    from qekm.v1 import accounts_pb2 as pb

    client.accounts.GetSession(pb.GetSessionRequest())


def _has_certificate(client: Client, role: str, name: str) -> bool:
    from qekm.v1 import certificates_pb2 as pb

    now = datetime.now(UTC).isoformat()

    def is_in_force(row: Plain) -> bool:
        return not row["revoke_time"] and bool(row["expire_time"] > now)

    found = pages(client.certificates.ListCertificates, pb.ListCertificatesRequest(), "certificates")
    return any((row["role"], row["name"]) == (role, name) and is_in_force(row) for row in map(plain, found))


def _new_password(who: str, file: Path | None, descriptor: int | None) -> str:
    title = f"New command password of {who}"
    return read_password(file, descriptor, confirm=True, title=title, options=NEW_OPTIONS)


def _number(role: str) -> Any:
    from qekm.v1 import certificates_pb2 as pb

    return pb.Role.Value(f"ROLE_{role.upper()}")
