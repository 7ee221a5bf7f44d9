"""What a home is, and whether it is there and whole."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qekm.doctor.finding import Seen, broken, fine
from qekm.doctor.steps import Kind
from qekm.home import Home

WORDS = {Kind.SERVICE: "a key manager", Kind.GATEWAY: "a gateway", Kind.CLIENT: "a client"}


@dataclass(frozen=True, slots=True)
class Place:
    """What is seen of a home from outside. owner: its user, empty if it is not there."""

    path: Path
    exists: bool
    is_directory: bool
    readable: bool
    owner: str
    user: str
    pending: bool = False
    config: bool = False
    store: bool = False
    client: bool = False
    certificates: bool = False
    names: tuple[str, ...] = ()  # of certificates that have a key beside them

    @property
    def kind(self) -> Kind:
        """Return what it is; without anything in it, what it should be: a key manager."""
        if self.store or (self.config and "server" in self.names):
            return Kind.SERVICE
        if "gateway" in self.names and not self.client:
            return Kind.GATEWAY
        return Kind.CLIENT if self.client or self.certificates else Kind.SERVICE


def survey(home: Home) -> Place:
    """Look at a home; what cannot be read is not there."""
    try:
        status = home.path.stat()
    except OSError as error:
        denied = isinstance(error, PermissionError)
        return Place(home.path, denied, denied, False, _owner_above(home.path), user_name(os.geteuid()))
    readable = os.access(home.path, os.R_OK | os.X_OK, effective_ids=True)
    owner, user = user_name(status.st_uid), user_name(os.geteuid())
    place = Place(home.path, True, home.path.is_dir(), readable, owner, user)
    if not (place.is_directory and readable):
        return place
    try:
        names = tuple(sorted(path.stem for path in home.pki.glob("*.pem") if home.key(path.stem).exists()))
    except OSError:
        names = ()
    return replace(
        place,
        pending=_is_there(home.pending),
        config=_is_there(home.config),
        store=_is_there(home.store),
        client=_is_there(home.client_config),
        certificates=_is_there(home.trust),
        names=names,
    )


def judge(place: Place) -> Iterator[Seen]:
    """Yield what keeps a home from being one. Pure."""
    if not place.exists:
        what = "qekm init makes a key manager; name another home with --home or QEKM_HOME"
        yield broken(f"there is no directory {place.path}", what)
    elif not place.is_directory:
        yield broken(f"{place.path} is no directory", "name the home with --home or QEKM_HOME")
    elif not place.readable:
        told = f"the user {place.user} may not read {place.path}, which is {place.owner}'s"
        yield broken(told, f"run this as that user: sudo -u {place.owner} qekm doctor")
    elif place.pending:
        yield broken(f"a restore was cut off in {place.path}", "finish it: qekm-server restore --replace")
    else:
        yield from _whole(place)


def _whole(place: Place) -> Iterator[Seen]:
    """Yield what is missing in a home that can be read."""
    kind = place.kind
    if not (place.config or place.client or place.certificates or place.store):
        yield broken(f"{place.path} holds no key manager", "make one: qekm init")
    elif kind is Kind.SERVICE and not place.store:
        yield broken(f"the store {place.path}/store/qekm.db is missing", "restore it: qekm backup restore")
    elif kind is not Kind.CLIENT and not place.config:
        told = f"{place.path}/KeyManagerConfig.properties is missing"
        yield broken(told, "put back KeyManagerConfig.properties.1, or the one of a backup")
    elif not place.certificates:
        yield broken(f"{place.path}/pki/trust.pem is missing", "put back the directory pki of this home")
    elif not place.names:
        yield broken(
            f"{place.path}/pki holds no certificate with its key", "have one issued, and put it there"
        )
    else:
        yield fine(f"{place.path} is that of {WORDS[kind]}")


def user_name(uid: int) -> str:
    """Return a user's name, or his number if he has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _owner_above(path: Path) -> str:
    """Return whose the nearest directory is that can be seen."""
    for each in path.parents:
        try:
            return user_name(each.stat().st_uid)
        except OSError:
            continue
    return "root"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
