"""The verbs of the original's family, spelt as its guides spell them: thin over the same calls as our own."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where a verb is: its module here, and our own way of saying it, if there is anything to do here."""

    module: str
    ours: str = ""


# `qekm help` lists them; `qekm --help` does not.
VERBS = {
    "adddrive": Place("drives", "qekm drives add"),
    "moddrive": Place("drives", "qekm drives modify"),
    "deldrive": Place("drives", "qekm drives remove"),
    "listdrives": Place("drives", "qekm drives list"),
    "list": Place("keystore", "qekm keys list"),
    "listcerts": Place("keystore", "qekm certificates partners"),
    "refreshks": Place("keystore", "qekm keystore status"),
    "listconfig": Place("configuration", "qekm config list"),
    "modconfig": Place("configuration", "qekm config set"),
    "refresh": Place("configuration", "qekm config refresh"),
    "export": Place("tables", "qekm drives export"),
    "import": Place("tables", "qekm drives import"),
    "createkeygroup": Place("groups"),
    "addkeygroup": Place("groups", "qekm groups create"),
    "addkeygroupalias": Place("groups", "qekm groups move"),
    "addaliastogroup": Place("groups", "qekm groups move"),
    "delgroupalias": Place("groups", "qekm groups move"),
    "deletegroup": Place("groups", "qekm groups delete"),
    "status": Place("server", "qekm server status"),
    "version": Place("server", "qekm server version"),
    "stopekm": Place("server", "qekm server stop"),
    "sync": Place("server", "qekm peers sync"),
    "help": Place("shell", "qekm --help"),
    "exit": Place("shell"),
}
