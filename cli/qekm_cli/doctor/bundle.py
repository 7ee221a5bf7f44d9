"""What a bundle for support holds: everything that helps, and no key, password or private file."""

from __future__ import annotations

import json
import os
import platform
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qekm import __version__
from qekm.doctor.openers import is_there
from qekm.doctor.place import user_name
from qekm.doctor.walk import timely
from qekm.errors import QekmError
from qekm.home import Home
from qekm.properties import PROPERTIES
from qekm.properties.client import CLIENT_PROPERTIES
from qekm.text import printable
from qekm_cli.doctor import masking
from qekm_cli.doctor.acquaintances import acquaintances
from qekm_cli.doctor.asking import ask, records
from qekm_cli.doctor.journal import NAME, Journal
from qekm_cli.doctor.pseudonyms import Pseudonyms
from qekm_cli.doctor.tails import logs_of, tail

if TYPE_CHECKING:
    from qekm.client import Client

_MOST_FILES = 10_000  # of the home that are listed
_PART_S = 60  # for each part of the home: a disk that does not answer shall not hang the bundle
_NO_JOURNAL = Journal()
Found = TypeVar("Found")
Open = Callable[[], AbstractContextManager["Client"]]
README = """\
Q-EKM support bundle, made by version {version} on {when} UTC.

README.txt         this text
doctor.json        what qekm doctor found, step by step
versions.json      of the programs, Python, the libraries, the system
status.json        what the service says of itself, of groups and other servers, if it could be asked
audit.json         the last {records} records of the audit trail, if they could be asked for
configuration/     properties and variables; values that let in are masked, comments are left out
files.txt          names, sizes, owners and modes of the home's files; none of their content
logs/              the last {lines} lines of each log, and of the systemd units' journal if they are used

Not in it: keys, passwords, PINs, recovery shares, private keys, the store, certificates, backups.
In logs, what could open anything and what looks like a key is masked.
{names}
"""
_SHOWN = (
    "Names of drives, cartridges, people, groups, machines and addresses ARE in it: --mask-names hides them."
)
_HIDDEN = """\
Names and addresses have pseudonyms: the same one has the same pseudonym in every file.
A name that only free text speaks of (a message in a log, a description, the name of a file) may be in it all
the same: look first.\
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of it: lines of each log, audit records; whether names are masked.

    target, identity: which service (HOST:PORT) was looked for, and as whom.
    """

    lines: int = 2_000
    records: int = 500
    mask_names: bool = False
    target: str = ""
    identity: str = ""


def gather(
    home: Home, wanted: Wanted, doctor: dict[str, Any], open_client: Open, journal: Journal = _NO_JOURNAL
) -> dict[str, bytes]:
    """Return the members by name; what cannot be had says why in its place."""
    status, audit = _asked(wanted, open_client)
    masked, documents = masking.Masker(), {"doctor.json": doctor, "versions.json": _versions(home)}
    documents |= {"status.json": status, "audit.json": audit}
    logs = _in_time(lambda: list(logs_of(home, wanted.lines)))
    texts = {f"logs/{name}": masked(text) for name, text in logs}
    if journal.text:
        texts[f"logs/{NAME}"] = masked(journal.text)
    texts |= {f"configuration/{name}": text for name, text in _in_time(lambda: list(_configuration(home)))}
    files = _in_time(lambda: list(files_of(home))) or ["they could not be listed in time"]
    texts["files.txt"] = "".join(f"{line}\n" for line in files)
    if wanted.mask_names:
        names = Pseudonyms(acquaintances(home, wanted.target, wanted.identity))
        names.learn_from_finding(json.dumps(doctor))
        names.learn_from(status)
        names.learn_from(audit)
        for text in texts.values():
            names.learn_from_text(text)
        names.learn_from_text(json.dumps(audit))
    else:
        names = Pseudonyms()
    for name, document in documents.items():
        texts[name] = json.dumps(masking.document(document), indent=1) + "\n"
    found = {name: names(text).encode(errors="backslashreplace") for name, text in sorted(texts.items())}
    return {"README.txt": _readme(wanted, journal).encode()} | found


def _in_time(act: Callable[[], list[Found]]) -> list[Found]:
    """Return what an act finds, nothing if a disk does not answer; raises what it raises."""

    def caught() -> tuple[list[Found], Exception | None]:
        try:
            return act(), None
        except Exception as error:
            return [], error

    found, error = timely(_PART_S, caught) or ([], None)
    if error is not None:
        raise error
    return found


def _readme(wanted: Wanted, journal: Journal) -> str:
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    names = _HIDDEN if wanted.mask_names else _SHOWN
    counts = {"lines": wanted.lines, "records": wanted.records}
    missing = f"\nMissing: {journal.missing}\n" if journal.missing else ""
    return README.format(version=__version__, when=when, names=names, **counts) + missing


def _asked(wanted: Wanted, open_client: Open) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the service says, or why it says nothing."""
    try:
        with open_client() as client:
            return ask(client), {"records": records(client, wanted.records) if wanted.records else []}
    except (QekmError, OSError) as error:
        away = {"unavailable": str(error)}
        return away, away


def _versions(home: Home) -> dict[str, Any]:
    names = sorted(
        {each.split(";")[0].split(">")[0].split("[")[0].strip() for each in metadata.requires("qekm") or []}
    )
    told = {part: home.running(part) for part in ("server", "gateway")}
    return {
        "qekm": __version__,
        "running": {part: one.version for part, one in told.items() if one is not None},
        "python": sys.version,
        "system": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": {name: _version(name) for name in names},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _configuration(home: Home) -> Iterator[tuple[str, str]]:
    def exists(name: str) -> bool:
        return is_there(home.path / name)

    for path, table in ((home.config, PROPERTIES), (home.client_config, CLIENT_PROPERTIES)):
        content = tail(path)
        if content is not None:
            yield path.name, masking.properties(content, table, exists)
    yield "environment.txt", "".join(f"{line}\n" for line in masking.environment(os.environ, exists=exists))


def files_of(home: Home) -> Iterator[str]:
    """Yield a line for each file of a home: mode, owner, size, when it was written, name."""
    count = 0
    for folder, directories, names in os.walk(home.path):
        directories.sort()
        for name in ("", *sorted(names)):
            path = Path(folder, name)
            if (count := count + 1) > _MOST_FILES:
                yield "and more"
                return
            try:
                status = path.lstat()
            except OSError:
                continue
            mode, owner, when = (
                stat.filemode(status.st_mode),
                user_name(status.st_uid),
                time_of(status.st_mtime),
            )
            shown = printable(str(path.relative_to(home.path)))  # a name may have lines of its own
            yield f"{mode} {owner:<12} {status.st_size:>14} {when} {shown}"


def time_of(seconds: float) -> str:
    """Return a time of a file; one that no calendar has is shown as its number."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"
