"""docs/configuration.md, made from the tables in the code; `python -m tests.configuration_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator

from qekm.configuration.settings import LONGEST
from qekm.properties import PROPERTIES, Property, Table
from qekm.properties.client import CLIENT_PROPERTIES
from tests.pages import ROOT

PAGE = ROOT / "docs" / "configuration.md"
HEAD = f"""\
# Configuration

A key manager's properties are in `KeyManagerConfig.properties` in its home. The names are those of the
product family where it has one. This page is made from `qekm/properties`; a test compares them.

## Changing a property

| how | what | in force |
|---|---|---|
| `qekm config set NAME=VALUE` | every property that is not marked *here* | as the table says |
| an editor, then `qekm config refresh` | every property | as the table says |
| `qekm-server config set NAME=VALUE` | every property, while the service does not run | at the next start |
| the environment | every property, while the variable is there | at the next start |

* What is marked *here* names a file, a program or a safeguard: whoever may administer from afar must not
  run programs on the key manager's machine, nor end the rule of two people.
* A change of several properties is made whole or not at all: what can fail (a port that is taken) is
  tried first, then the file is written, then the rest follows. Two changes at once are made one after the
  other, each to its end even when whoever asked has gone.
* The version before a change is kept beside the file, with `.1` behind its name. Comments, order and
  properties that are not known stay as they are. The file is written aside and renamed, of mode 0600, and
  stays its owner's.
* Every change is in the audit trail with the value before and after, also one that was made while the
  service did not run: its next start tells what is another than it was. Passwords are neither shown nor
  recorded.
* A variable of the environment, `QEKM_PROPERTY_` and the name with every dot an underscore
  (`QEKM_PROPERTY_TransportListener_tcp_port`), wins over the file; a change of such a property is written
  into the file and whoever makes it is told that it is not in force.

## The file

That of `java.util.Properties`: ISO 8859-1, other characters as in `\\u00e4`, `#` and `!` begin comments,
spaces around `=` do not count; a value has at most {LONGEST:,} characters. Refused, with the line: a
value that cannot be, a property that is there twice, two names of one property with different values,
bytes of UTF-8 or of another encoding, two listeners on one port, and a file that was cut off. A file
that was made by `qekm init` begins and ends with a line that says so, from which a half
copied one is known. A property that is not
known is kept and logged.

`symmetricKeySet` and the default key group are one thing: setting the property makes the group the
default, making another group the default writes the property. Edited by hand, the file wins at the next
start. A group that does not exist is told as `DEGRADED` and passed over. `drive.default.alias1` and `2`
name key groups as well: a key would be the same for every drive.

The drive table at `config.drivetable.file.url` is the list that `qekm drives add --csv` reads. It is
written aside and renamed within a second of each change, and never in the place of a file that is
something else. If it cannot be written, the status says so and nothing stops. A spreadsheet is to take its
cells as text: what a drive says of itself may begin with `=`.

## Properties

*at once*: in force as soon as it is changed; else after a restart. *here*: changed on the key manager's
own machine only. *common*: changed anywhere, and by that at all servers of the estate; a variable of the
environment is one server's own.

"""
KEPT = """
## Kept without a meaning

Properties of the family that are accepted, stay in the file and are listed, so that a file of the
original's can be used; what they said is said by something else here, or by nothing. Those that end in
`password` or `password.obfuscated` are listed as `(not shown)`.

| property | why it means nothing |
|---|---|
"""
CLIENT = """
## ClientKeyManagerConfig.properties

Where a home without a key manager finds the one that it administers. In the environment the variables
begin with `QEKM_CLIENT_PROPERTY_`. Besides, these are kept without a meaning: {kept}.

"""
_COLUMNS = "| property | default | in force | changed | whose | what |\n|---|---|---|---|---|---|\n"


def page() -> str:
    """Return the page."""
    kept = "".join(f"| {_names(item)} | {item.help} |\n" for item in _items(PROPERTIES, kept=True))
    client = ", ".join(f"`{item.name}`" for item in _items(CLIENT_PROPERTIES, kept=True))
    return "".join(
        (
            HEAD,
            _COLUMNS,
            *map(_row, _items(PROPERTIES, kept=False)),
            KEPT,
            kept,
            CLIENT.format(kept=client),
            "| property | default | what |\n|---|---|---|\n",
            *(
                f"| {_names(item)} | {_default(item)} | {item.help} |\n"
                for item in _items(CLIENT_PROPERTIES, kept=False)
            ),
        )
    )


def _items(table: Table, kept: bool) -> Iterator[Property]:
    return (item for item in table.values() if (item.origin == "kept") is kept)


def _row(item: Property) -> str:
    in_force = "at once" if item.dynamic else "restart"
    where = "here" if item.local else "common" if item.shared else "anywhere"
    return f"| {_names(item)} | {_default(item)} | {in_force} | {where} | {item.origin} | {item.help} |\n"


def _names(item: Property) -> str:
    return ", also ".join(f"`{name}`" for name in (item.name, *item.also))


def _default(item: Property) -> str:
    return f"`{item.default}`{' ' + item.unit if item.unit else ''}" if item.default else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
