"""The command `qekm-server init`: options in, a key manager and what to tell of it out; nothing is asked."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.commands import surveying
from qekm.errors import BadArgument
from qekm.hardening import harden
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.init import Made, Wanted
    from qekm.secret import Secret


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the program's parser."""
    making = acts.add_parser("init", parents=[common], help="make a key manager")
    making.add_argument("--host", action="append", default=[], help="name for certificates; repeatable")
    making.add_argument("--keys", type=int, default=1024, metavar="N", help="keys to make (1024)")
    files = making.add_mutually_exclusive_group()
    files.add_argument("--key-file", type=Path, metavar="FILE", help="key file, if not root.key in the home")
    files.add_argument("--no-key-file", action="store_true", help="a password opens every start")
    password = making.add_mutually_exclusive_group()
    password.add_argument("--password-file", type=Path, metavar="FILE", help="a password, in this file")
    password.add_argument("--password-fd", type=int, metavar="N", help="a password, from this descriptor")
    command = making.add_mutually_exclusive_group()
    command.add_argument(
        "--command-password-file", type=Path, metavar="FILE", help="the administrator's, in this file"
    )
    command.add_argument(
        "--command-password-fd", type=int, metavar="N", help="the administrator's, from this descriptor"
    )
    making.add_argument("--shares", metavar="M/N", help="recovery shares: M of N open the keystore")
    making.add_argument(
        "--shares-fd", type=int, metavar="N", help="write them to this descriptor, one a line"
    )
    making.add_argument(
        "--property", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable"
    )
    surveying.add_options(making)
    making.set_defaults(act=make_home)
    surveying.add_to(acts, common)


def make_home(options: argparse.Namespace) -> int:
    """Make a key manager, hand its recovery shares out, and tell what it is."""
    harden()
    from qekm.clock import now_us
    from qekm.init import Wanted, make
    from qekm.progress import Progress
    from qekm.unlocking import Means

    home, given = Home.find(options.home), properties(options.property)
    with surveying.inherited(home, options, given) as takeover:
        wanted = Wanted(
            tuple(options.host),
            options.keys,
            Means(options.key_file, options.password_file, options.password_fd),
            not options.no_key_file,
            _split(options.shares, options.shares_fd),
            takeover.properties(given) if takeover else given,
            takeover,
            _command_password(options),
        )
        progress = Progress("making keys", wanted.keys, sys.stderr)
        made = make(home, wanted, now_us, tell=progress.advance)
    if made.mnemonics:
        with os.fdopen(options.shares_fd, "w") as pipe:
            pipe.writelines(f"{mnemonic}\n" for mnemonic in made.mnemonics)
    print(*_told(home, wanted, made), sep="\n")
    return 0


def _command_password(options: argparse.Namespace) -> Secret | None:
    from qekm.unlocking import Means

    means = Means(None, options.command_password_file, options.command_password_fd)
    return means.password() if means.password_named else None


def _told(home: Home, wanted: Wanted, made: Made) -> list[str]:
    openers = [f"the key file {made.key_file}"] if made.key_file else []
    openers += ["the password"] if wanted.means.password_named else []
    openers += [f"any {wanted.shares[0]} of {wanted.shares[1]} recovery shares"] if wanted.shares else []
    return [
        f"made a key manager in {home.path}",
        f"  estate         {made.estate_id.hex()}",
        f"  keys           {wanted.keys:,} in group {wanted.group}",
        f"  opened by      {', or '.join(openers)}",
        f"                 without {'it' if len(openers) == 1 else 'all of them'} every key is lost",
        f"  certificates   server, gateway, administrator in {home.pki}",
        f"  server anchor  {made.anchor.hex()} (give it to your drives)",
        *_waiting(wanted.properties),
        "  start it with  qekm server start",
        *_degraded(wanted),
        *(["", f"{home.takeover}:"] if made.report else []),
        *made.report,
    ]


def _waiting(properties: Mapping[str, str]) -> list[str]:
    """Return where the first backup goes, if keys wait for it."""
    if properties.get("keystore.protect", "").lower() == "none":
        return []
    return [f"  new keys       are given out once they are in a backup in {properties['backup.target']}"]


def _degraded(wanted: Wanted) -> list[str]:
    """Return what every status will say of what is wanted."""
    from qekm.accounts import no_password
    from qekm.backup.condition import SAME_DISK
    from qekm.estate import ONE_PERSON, UNPROTECTED
    from qekm.init import ADMINISTRATOR

    lines, properties = [], wanted.properties
    if properties.get("keystore.protect", "").lower() == "none":
        lines.append(f"DEGRADED {UNPROTECTED}")
    elif properties.get("backup.sameDisk", "").lower() == "true":
        lines.append(f"DEGRADED {SAME_DISK}")
    if properties.get("twoPerson", "").lower() == "off":
        lines.append(f"DEGRADED {ONE_PERSON}")
    if wanted.command_password is None:
        lines.append(f"DEGRADED {no_password(ADMINISTRATOR)}")
    return lines


def _split(text: str | None, descriptor: int | None) -> tuple[int, int] | None:
    """Return how many recovery shares are needed and how many there are."""
    if text is None:
        return None
    needed, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() and len(part) < 3 for part in (needed, count)):
        raise BadArgument(f"--shares takes M/N, for example 3/5, not {text!r:.20}", field="shares")
    if descriptor is None:
        raise BadArgument("--shares takes --shares-fd: nobody else gets the shares", field="shares")
    return int(needed), int(count)


def properties(texts: Sequence[str]) -> dict[str, str]:
    """Return the settings that options of the form NAME=VALUE name; BadArgument."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, _ in pairs:
        if not sign:
            raise BadArgument(f"a property is given as NAME=VALUE, not {name!r}", field="property")
    return {name: value for name, _, value in pairs}
