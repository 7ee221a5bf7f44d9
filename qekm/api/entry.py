"""Who needs a session: a person who has a command password, and from afar every person.

A certificate is a file, which can be copied; the password is what a thief of the file does not have. Machines
have none, so from afar their certificates are good for hardly anything.
"""

from __future__ import annotations

from collections.abc import Callable

from qekm.accounts import PEOPLE, Accounts
from qekm.api.authority import MACHINES_FROM_AFAR
from qekm.errors import NotAllowed, PasswordNeeded
from qekm.properties.listeners import SSL_GATEWAYS
from qekm.rpc.identity import Identity
from qekm.sessions import Place, Sessions

SERVE = "/qekm.v1.ServingService/Serve"  # a gateway's, and nobody else's
VERSION = "/qekm.v1.ServerService/GetVersion"  # nobody's secret
PROOFS = frozenset({"/qekm.v1.AccountsService/Login", "/qekm.v1.AccountsService/UpdateOwnPassword"})
"""What proves by the password that it carries."""


class Entry:
    """Lets callers in whom the guard knows by their certificate."""

    def __init__(self, accounts: Accounts, sessions: Sessions, gateways: bool = False) -> None:
        """Take who has a password, who proved it, and whether gateways may bring drives from afar."""
        self._accounts, self._sessions, self._gateways = accounts, sessions, gateways

    def check(self, identity: Identity, method: str, session: bytes, *, remote: bool) -> Place | None:
        """Return the place of the session that a call needs, None if it needs none.

        remote: whether the call came over the listener that others than this machine reach. Raises
        PasswordNeeded, and NotAllowed for what no machine may do from afar.
        """
        if method == VERSION:
            return None
        if identity.role not in PEOPLE:
            if remote and method not in MACHINES_FROM_AFAR:
                self._check_machine(identity, method)
            return None
        actor = identity.actor
        if actor in self._accounts:
            return None if method in PROOFS else self._sessions.check(actor, session)
        if remote:
            what = f"{actor} has no command password, and without one nobody is let in from afar"
            hint = "set one on the service's own machine: qekm accounts passwd"
            raise PasswordNeeded(what, hint=hint, account=actor)
        return None

    def _check_machine(self, identity: Identity, method: str) -> None:
        if method == SERVE and self._gateways:
            return
        role = identity.role.name.lower()
        told = f"the role {role} may not call {method} over the SSL port"
        hint = f"a gateway of another machine may, after a restart with {SSL_GATEWAYS}=on"
        raise NotAllowed(told, hint=hint if method == SERVE else None, role=role, method=method)

    def left_s(self, session: Place) -> float:
        """Return the seconds that are left of a session."""
        return self._sessions.left_of(session)

    def watch(self, ended: Callable[[Place], None]) -> None:
        """Call `ended` with the place of each session that ends before its time."""
        self._sessions.watch(ended)
