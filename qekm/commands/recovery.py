"""The commands of `qekm-server` that deal with backups: prove one, restore one, adopt an old copy."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.commands.initialising import properties
from qekm.errors import BadArgument, BadPassword, QekmError, exit_code
from qekm.hardening import end_with_parent, harden
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.backup.proving import OpenRing
    from qekm.configuration.settings import Settings
    from qekm.restoring import Restored, Restorer
    from qekm.sealing import Sealer

_NICE = 10  # a tenth of a core that drives want, too


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to the program's parser."""
    proving = acts.add_parser("backup-prove", parents=[common])  # the service's own: no help of it
    proving.add_argument("file", type=Path)
    proving.add_argument("--scratch", type=Path, required=True)
    proving.add_argument("--proof", action="store_true")
    proving.set_defaults(act=prove_backup)
    restoring = acts.add_parser("restore", parents=[common], help="restore a backup while nothing runs")
    restoring.add_argument("file", type=Path, metavar="FILE", nargs="?", help="the backup")
    replaces = "in the place of the key manager that is there, which is kept beside"
    restoring.add_argument("--replace", action="store_true", help=replaces)
    loses = "replace, though exactly so many keys that were given out are lost"
    restoring.add_argument("--lose", type=int, default=0, metavar="N", help=loses)
    restoring.add_argument("--host", action="append", default=[], help="name for certificates; repeatable")
    _add_property(restoring)
    _add_means(restoring)
    restoring.set_defaults(act=restore_backup)
    adopting = acts.add_parser("adopt", parents=[common], help="make an old copy of a store the present one")
    adopting.add_argument("--i-have-no-newer-store", action="store_true", help="that nothing newer exists")
    _add_means(adopting)
    adopting.set_defaults(act=adopt_store)


def _add_property(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--property", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable"
    )


def _add_means(parser: argparse.ArgumentParser) -> None:
    """Add what a person opens a store or a backup with: one of these."""
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--key-file", type=Path, metavar="FILE", help="open with this key file")
    one.add_argument("--password-file", type=Path, metavar="FILE", help="open with the password in this file")
    one.add_argument("--password-fd", type=int, metavar="N", help="open with the password from a descriptor")
    one.add_argument(
        "--shares-file", type=Path, action="append", metavar="FILE", help="open with shares; repeatable"
    )
    one.add_argument("--pin-file", type=Path, metavar="FILE", help="open with the token's PIN in this file")
    one.add_argument("--proof-fd", type=int, metavar="N", help=argparse.SUPPRESS)  # for `qekm`


def prove_backup(options: argparse.Namespace) -> int:
    """Prove a backup with what comes through the pipe on standard input: a key ring, or a person's proof."""
    end_with_parent()
    harden()
    os.nice(_NICE)
    from qekm.backup.child import told_error
    from qekm.backup.proving import prove

    def say(**said: Any) -> None:
        print(json.dumps(said), flush=True)

    def tell(step: str, done: int, total: int) -> None:
        say(step=step, done=done, total=total)

    try:
        options.scratch.mkdir(mode=0o700)
        open_ring = _proof_of(options.home) if options.proof else _ring()
        say(proved=prove(options.file, open_ring, options.scratch, tell).dump())
    except QekmError as error:
        say(**told_error(error))
        return exit_code(error)
    return 0


def _ring() -> OpenRing:
    """Return what gives the ring that the service handed over."""
    from qekm.sealing.handing import take_over

    ring = take_over(sys.stdin.fileno())
    return lambda _cover: ring


def _proof_of(home: Path) -> OpenRing:
    """Return what opens a slot of the backup with a person's proof."""
    from qekm.backup.opening import opener
    from qekm.configuration.settings import Settings
    from qekm.opening import sealer_from_pipe
    from qekm.unlocking import token_key

    return opener(sealer_from_pipe(sys.stdin.fileno(), token_key(Settings.load(Home.find(home).config))))


def restore_backup(options: argparse.Namespace) -> int:
    """Restore a backup, or finish a restore that was cut off."""
    harden()
    from qekm.building import finish
    from qekm.clock import now_us
    from qekm.progress import Steps
    from qekm.restoring import Restorer, Wanted

    home = Home.find(options.home)
    if kept := finish(home):
        print(f"finished the restore that was cut off; what was there before is kept: *.{kept}")
        return 0
    if options.file is None:
        raise BadArgument("name the file of the backup", field="file")
    wanted = Wanted(options.file.absolute(), tuple(options.host), properties(options.property), options.lose)
    restorer = Restorer(home, wanted, now_us, tell=Steps(sys.stderr))
    print(
        *_told(home, _replaced(restorer, options) if options.replace else _put(restorer, options)), sep="\n"
    )
    return 0


def _put(restorer: Restorer, options: argparse.Namespace) -> Restored:
    """Restore onto an empty home with what a person has."""
    from qekm.backup.opening import root_of
    from qekm.opening import sealer_of_options, token_of

    sealer = sealer_of_options(options, token_of(restorer.wanted.properties))
    if sealer is None:
        hint = "name it with --password-file, --shares-file, --key-file, or --pin-file for a token"
        raise BadPassword("a slot of the backup has to be opened, and nothing was given for that", hint=hint)
    return restorer.onto_nothing(lambda cover: root_of(cover, sealer))


def _replaced(restorer: Restorer, options: argparse.Namespace) -> Restored:
    """Restore in the place of the store that is there."""
    from qekm.configuration.settings import Settings
    from qekm.replacing import replace_store

    restorer.home.require()
    settings = Settings.load(restorer.home.config)
    return replace_store(restorer, settings, _sealer(restorer.home, settings, options))


def adopt_store(options: argparse.Namespace) -> int:
    """Make an old copy of a store the present one."""
    harden()
    from qekm.adopting import adopt
    from qekm.clock import now_us
    from qekm.configuration.settings import Settings

    if not options.i_have_no_newer_store:
        hint = "look for one first; if there is none, say so with --i-have-no-newer-store"
        raise BadArgument(
            "an old copy is adopted only where no newer store exists", hint=hint, field="option"
        )
    home = Home.find(options.home)
    home.require()
    settings = Settings.load(home.config)
    epoch = adopt(home, settings, _sealer(home, settings, options), now_us)
    print(f"the store in {home.path} is the present one: {epoch}")
    return 0


def _sealer(home: Home, settings: Settings, options: argparse.Namespace) -> Sealer:
    """Return what opens the store of a home: what was named, else what its settings say."""
    from qekm.opening import sealer_of_options
    from qekm.unlocking import Means, sealer_of, token_key

    return sealer_of_options(options, token_key(settings)) or sealer_of(home, settings, Means())


def _told(home: Home, restored: Restored) -> list[str]:
    header = restored.extracted.cover.header
    opened = f"the key file {restored.key_file}, and whatever" if restored.key_file else "whatever"
    lines = [
        f"restored {header.name} in {home.path}",
        f"  estate         {header.estate.hex()}",
        f"  keys           {header.key_count:,} in the backup; {restored.epoch}",
        f"  opened by      {opened} opened it when the backup was made",
        f"  certificates   server, gateway, administrator in {home.pki} are new; the old ones are refused",
        f"  server anchor  {restored.anchor.hex()}, as before: drives notice nothing",
    ]
    if restored.kept:
        lines.append(f"  lost           {restored.lost}")
        lines.append(f"  kept           what was there before: {home.path}/*.{restored.kept}")
    return [*lines, "  start it with  qekm server start"]
