"""The command `qekm-server survey`, and the options that `init` shares with it: an old installation, read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.errors import BadArgument, BadPassword
from qekm.hardening import harden
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.takeover import Takeover


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the program's parser."""
    what = "tell what an installation of the original holds, and make nothing"
    surveying = acts.add_parser("survey", parents=[common], help=what)
    add_options(surveying)
    setting = "a setting that is to be another one; repeatable"
    surveying.add_argument("--property", action="append", default=[], metavar="NAME=VALUE", help=setting)
    surveying.set_defaults(act=survey)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name an old installation and the passwords of its keystore."""
    directory = "directory of the original, or a copy of it"
    parser.add_argument("--from", type=Path, metavar="DIR", dest="original", help=directory)
    drives = (
        "its drives: what listDrivesQEKMServer printed, or CSV; if not listdrives.txt or drives.csv there"
    )
    parser.add_argument("--drives", type=Path, metavar="FILE", help=drives)
    for name, what in (("keystore", "of its keystore"), ("key", "of the keys in it, if another")):
        password = parser.add_mutually_exclusive_group()
        password.add_argument(
            f"--{name}-password-file", type=Path, metavar="FILE", help=f"password {what}, in this file"
        )
        password.add_argument(
            f"--{name}-password-fd", type=int, metavar="N", help=f"password {what}, from this descriptor"
        )


def survey(options: argparse.Namespace) -> int:
    """Read an installation with its keystore's password, and tell what is there as one document.

    opened: whether the passwords open the keys, too. It takes no time: one key is tried.
    """
    harden()
    from qekm.commands.initialising import properties

    given = properties(options.property)
    with inherited(Home.find(options.home), options, given) as takeover:
        if takeover is None:
            raise BadArgument("name the installation with --from", field="from")
        takeover.properties(given)
        drives, opened = len(takeover.original.drives.drives), takeover.opens_keys()
        print(json.dumps({"keys": takeover.count, "drives": drives, "opened": opened}))
    return 0


@contextmanager
def inherited(home: Home, options: argparse.Namespace, given: Mapping[str, str]) -> Iterator[Takeover | None]:
    """Give the installation that the options name, if they name one; errors of qekm.takeover.

    given: properties that somebody gave another value than it has there.
    """
    if options.original is None:
        yield None
        return
    from qekm.progress import Steps
    from qekm.takeover import Takeover, read
    from qekm.unlocking import Means

    original = read(options.original, home, options.drives, given)
    store = Means(None, options.keystore_password_file, options.keystore_password_fd)
    if not store.password_named:
        hint = "name it with --keystore-password-file or --keystore-password-fd"
        raise BadPassword(f"{original.keystore} is opened by a password, and none was given", hint=hint)
    keys = Means(None, options.key_password_file, options.key_password_fd)
    steps = Steps(sys.stderr)

    def tell(done: int, total: int) -> None:
        steps("opening keys", done, total)

    key_password = keys.password() if keys.password_named else None
    with Takeover(original, store.password(), key_password, tell) as takeover:
        yield takeover
