"""The command `qekm-server config`: look at properties and change them while the service does not run.

So are changed the ones that nobody changes from afar: they name files, programs, safeguards.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from qekm.commands.initialising import properties
from qekm.errors import BadArgument, StoreInUse, UnknownProperty
from qekm.home import Home
from qekm.text import printable


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the program's parser."""
    config = acts.add_parser("config", help="look at the settings of a stopped service, and change them")
    verbs = config.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = verbs.add_parser("list", parents=[common], help="list properties as the next start has them")
    listing.add_argument("name", nargs="*", metavar="NAME", help="only these")
    listing.set_defaults(act=list_properties)
    setting = verbs.add_parser("set", parents=[common], help="set properties, all or none")
    setting.add_argument("pair", nargs="*", metavar="NAME=VALUE", help="a property and its new value")
    setting.add_argument("--unset", action="append", default=[], metavar="NAME", help="its default again")
    setting.set_defaults(act=set_properties)
    unsetting = verbs.add_parser("unset", parents=[common], help="have properties their defaults again")
    unsetting.add_argument("name", nargs="+", metavar="NAME", help="a property")
    unsetting.set_defaults(act=unset_properties)


def list_properties(options: argparse.Namespace) -> int:
    """Print properties, one a line, and where each value is from."""
    from qekm.configuration.settings import FILE, Settings

    home = _home(options)
    settings = Settings.load(home.config)
    table = settings.table
    for name in sorted(options.name or (*table, *settings.unknown)):
        item = table.find(name)
        if item is None and name not in settings.unknown:
            raise UnknownProperty(f"there is no property {name}", property=name)
        if item is None:
            print(printable(f"{name}={settings.unknown[name]}") + "  (unknown)")
            continue
        source = settings.source(item.name)
        marks = [*([source] if source != FILE else []), *(["kept"] if item.origin == "kept" else [])]
        line = printable(f"{item.name}={settings.text(item.name)}")
        print(line + (f"  ({', '.join(marks)})" if marks else ""))
    return 0


def set_properties(options: argparse.Namespace) -> int:
    """Set properties in the file and print what has changed."""
    if not (options.pair or options.unset):
        raise BadArgument("no property is named", field="set")
    return _change(_home(options), properties(options.pair), options.unset)


def unset_properties(options: argparse.Namespace) -> int:
    """Take properties out of the file and print what has changed."""
    return _change(_home(options), {}, options.name)


def _change(home: Home, values: Mapping[str, str], unset: Iterable[str]) -> int:
    from qekm.configuration.differences import told
    from qekm.configuration.settings import amend, read_file, texts_of
    from qekm.properties import PROPERTIES
    from qekm.store.lock import Lock

    try:
        lock = Lock(home.store.with_name("lock"))
    except StoreInUse as error:
        hint = "while the service runs: qekm config set; else stop it first: qekm server stop"
        raise StoreInUse(error.message, hint=hint, **error.details) from None
    with closing(lock):  # no service starts in between
        before = texts_of(read_file(home.config), home.config.name)
        amend(home.config, values, unset)
        after = texts_of(read_file(home.config), home.config.name)
    for name in sorted(before.keys() | after.keys()):
        item = PROPERTIES.find(name)
        default = "" if item is None else item.default
        old, new = before.get(name, default), after.get(name, default)
        if old != new:
            print(printable(told(name, old, new)))
            if item is not None and item.origin == "kept":
                print(f"{name} is kept and means nothing here: {item.help}")
    return 0


def _home(options: argparse.Namespace) -> Home:
    home = Home.find(options.home)
    home.require()
    return home
