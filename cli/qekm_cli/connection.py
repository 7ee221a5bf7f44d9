"""Whom a command talks to: the home, the target and the identity that the global options name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import typer

if TYPE_CHECKING:
    from qekm.client import Client
    from qekm.home import Home


class Connect(Protocol):
    """What opens a client; qekm.client.connect, or a fake in the tests."""

    def __call__(
        self,
        home: str | None,
        target: str | None,
        identity: str,
        *,
        session: bytes | None = None,
        password: Callable[[], str] | None = None,
        keep: Callable[[bytes, int], None] | None = None,
    ) -> AbstractContextManager[Client]:
        """Return a client for the block."""


def _connect(
    home: str | None, target: str | None, identity: str, **proof: Any
) -> AbstractContextManager[Client]:
    from qekm.client import connect

    return connect(home=home, target=target, identity=identity, **proof)


@dataclass(slots=True)
class Invocation:
    """The global options of one run of `qekm`; the options' callbacks fill it."""

    connect: Connect = _connect
    home: str | None = None
    target: str | None = None
    identity: str | None = None
    command_password_file: str | None = None
    command_password_fd: int | None = None
    command_password: str | None = field(default=None, repr=False)  # once it was read
    afresh: bool = False  # prove by the password, whatever session is kept
    session: bytes | None = field(default=None, repr=False)  # that this run opened
    json: bool = False
    given: dict[str, Any] = field(default_factory=dict)  # options that no function takes (commands.kept)


def invocation_of(context: typer.Context) -> Invocation:
    """Return the global options of this run."""
    return cast(Invocation, context.find_root().obj)


def client_of(context: typer.Context, *, asking: bool = True) -> AbstractContextManager[Client]:
    """Return a connected client for a `with` block; raises ServiceAway, NotInitialised, UnknownIdentity.

    The session that `qekm login` keeps is used; without one the command password is read when the service
    wants it, for this run only. asking: whether it may be; if not, such calls raise PasswordNeeded.
    """
    from qekm_cli.passwords import command_password
    from qekm_cli.session_file import SessionFile

    told, kept = invocation_of(context), SessionFile.of(context)

    def keep(session: bytes, _expire_time_us: int) -> None:
        told.session = session or None
        if not session:
            kept.forget()

    return told.connect(
        told.home,
        told.target,
        kept.identity,
        session=told.session or (None if told.afresh else kept.read()),
        password=(lambda: command_password(told, kept.identity)) if asking else None,
        keep=keep,
    )


def identity_of(context: typer.Context) -> str:
    """Return whose certificate is shown: pki/NAME.pem."""
    from qekm.client import identity_of

    name = identity_of(home_of(context), invocation_of(context).identity)
    parse_identity(name)  # one that the environment names was not looked at yet
    return name


def address_of(context: typer.Context) -> str:
    """Return where the service is: host:port."""
    from qekm.client import address_of

    return address_of(home_of(context), invocation_of(context).target)


def is_elsewhere(context: typer.Context) -> bool:
    """Tell whether the service is named by its address, or this home has no store of its own."""
    return bool(invocation_of(context).target) or home_of(context).is_client


def home_of(context: typer.Context) -> Home:
    """Return the home that --home or QEKM_HOME names."""
    from qekm.home import Home

    return Home.find(invocation_of(context).home)


def parse_target(value: str | None) -> str | None:
    """Return HOST:PORT as given (an IPv6 address in brackets), or raise BadParameter."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise typer.BadParameter(f"{value!r} is not HOST:PORT, for example 127.0.0.1:3802 or [::1]:3802")
    return value


def parse_identity(value: str | None) -> str | None:
    """Return the name of a pair of files in pki/, or raise BadParameter for what is not one name."""
    if value is not None and (not value or "/" in value or value.startswith(".")):
        raise typer.BadParameter(
            f"{value!r} is not the name of a certificate in pki/, for example administrator"
        )
    return value


PARSERS: dict[str, Any] = {"target": parse_target, "identity": parse_identity}
