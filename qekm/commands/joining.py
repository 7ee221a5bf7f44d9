"""The command `qekm-server join`: asks an estate to be one of its servers, and makes the home when it is."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.commands.initialising import properties
from qekm.errors import BadFile, PeerRefused, UnavailableError
from qekm.hardening import harden
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.invitation import Invitation
    from qekm.joining import Joined
    from qekm.welcome import Welcome

_AGAIN_S = 2.0  # before a link that broke while we waited is made anew


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the program's parser."""
    joining = acts.add_parser("join", parents=[common], help="make a further server of a running estate")
    joining.add_argument("invitation", type=Path, metavar="FILE", help="what qekm peers invite wrote")
    joining.add_argument(
        "--property", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable"
    )
    joining.add_argument(
        "--yes-fingerprint", metavar="HEX", help="the inviting server's, as it was told, if nobody is asked"
    )
    joining.set_defaults(act=make_home)


def make_home(options: argparse.Namespace) -> int:
    """Wait to be let in, make the home, and tell what to do next."""
    harden()
    from qekm.clock import now_us
    from qekm.joining import Wanted, join

    home, invitation = Home.find(options.home), read(options.invitation)
    wanted = Wanted(invitation, properties(options.property))

    def confirm(fingerprint: bytes) -> None:
        """Show both keys, and have whoever is here say that the other end shows the same."""
        print(*_shown(invitation, fingerprint), sep="\n", flush=True)
        agree(invitation, options.yes_fingerprint)

    def ask(request: bytes, wrapping_key: bytes) -> Welcome:
        """Ask, and go on asking when the link breaks."""
        return _patient(invitation, request, wrapping_key)

    with invitation.key:
        joined = join(home, wanted, confirm, ask, now_us)
    print(*_told(home, joined, invitation), sep="\n")
    return 0


def read(path: Path) -> Invitation:
    """Return the invitation in a file; BadFile."""
    from qekm.invitation import LONGEST, Invitation

    try:
        with path.open("rb") as file:
            return Invitation.parse(file.read(LONGEST + 1))
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}", file=str(path)) from None
    except BadFile as error:
        raise BadFile(f"{path}: {error.message}", hint=error.advice, file=str(path)) from None


def agree(invitation: Invitation, told: str | None) -> None:
    """Return when the inviting server's fingerprint was confirmed; PeerRefused else."""
    name = invitation.subject.name
    if told is not None:
        digits = "".join(told.replace(":", "").split()).lower()
        if digits != invitation.fingerprint.hex():
            raise PeerRefused("the invitation is not of the server with this fingerprint", peer=name)
        return
    if not (sys.stdin and sys.stdin.isatty()):
        hint = "give the inviting server's as it was told: --yes-fingerprint HEX"
        raise PeerRefused("nobody can be asked to compare fingerprints", hint=hint, peer=name)
    if input("Do both ends show the same? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PeerRefused("the fingerprints were not confirmed", peer=name)


def _patient(invitation: Invitation, request: bytes, wrapping_key: bytes) -> Welcome:
    from qekm.clock import now_us
    from qekm.rpc.joining import ask

    waits = False

    def tell() -> None:
        nonlocal waits
        if not waits:
            accept = f"qekm peers accept {invitation.subject.name}"
            print(f"waiting; an administrator lets this server in with: {accept}", flush=True)
        waits = True

    while True:
        try:
            return ask(invitation, request, wrapping_key, tell)
        except UnavailableError:
            if not waits or now_us() >= invitation.expire_time_us:
                raise
            time.sleep(_AGAIN_S)  # the same request: whoever has it on the screen sees the same key


def _shown(invitation: Invitation, own: bytes) -> list[str]:
    return [
        f"joining the estate {invitation.subject.estate.hex()} as {invitation.subject.name}",
        f"  the server at {invitation.address} has the key",
        f"    {grouped(invitation.fingerprint)}",
        "  this one has the key",
        f"    {grouped(own)}",
    ]


def grouped(fingerprint: bytes) -> str:
    """Return a fingerprint in groups of four digits, to be read aloud."""
    digits = fingerprint.hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def _told(home: Home, joined: Joined, invitation: Invitation) -> list[str]:
    issue = "none; one is made at the other server: qekm certificates issue administrator NAME"
    return [
        f"made the server {joined.name} of the estate {joined.estate_id.hex()} in {home.path}",
        f"  opened by      the key file {home.root_key}, and what opens the estate's other servers",
        f"  administrator  {'its certificate is in ' + str(home.pki) if joined.administrator else issue}",
        f"  server anchor  {joined.anchor.hex()} (the estate's: drives know it)",
        "  start it with  qekm server start",
        "  then name it to your library as a further key manager, and look at: qekm peers status",
        f"  the invitation has done its work: remove the file (it was for {invitation.address})",
    ]
